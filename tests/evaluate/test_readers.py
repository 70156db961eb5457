"""Each published layout is read, and whatever is missing in it is reported with a count."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import GroundTruth
from sorce.evaluate.readers import coco, lines, sorce1k, sorec, yolo
from sorce.evaluate.readers.labels import read as read_labels

DATA = Path(__file__).parents[3] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the published files are not at {DATA}")

Draw = Callable[..., None]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    def drawn(*names: str, size: tuple[int, int] = (100, 80), turn: int | None = None) -> None:
        for name in names:
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            exif = Image.Exif()
            if turn:
                exif[0x0112] = turn
            Image.new("RGB", size, "grey").save(file, exif=exif)

    return drawn


def write(file: Path, *rows: Any) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def stand_in(folder: Path, *names: str) -> None:
    """Under each name, the beginning of a picture that is large enough for all published boxes."""
    content = io.BytesIO()
    Image.new("L", (6000, 4000)).save(content, "JPEG")
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.getvalue()[:1000])


def answers(truth: GroundTruth) -> dict[str, dict[str, list[tuple[float, ...]]]]:
    """By text and picture's name."""
    return {
        query.text: {
            truth.pictures[key].name: [box.as_tuple() for box in boxes] for key, boxes in query.answers.items()
        }
        for query in truth.queries
    }


def line(image: str, caption: str, *boxes: tuple[float, ...]) -> dict[str, Any]:
    return {"image": image, "caption": caption, "bbox": boxes}


# Names, captions and the two boxes of sa_1922.jpg and sa_1984.jpg: SORCE-1K (github.com/MCG-NJU/SORCE, Apache-2.0).
LOLLIPOP = line(
    "sa_1922.jpg",
    "A yellow lollipop in an abstract footprint pattern, mounted on a stick",
    (999.271137, 777.332362, 200.072886, 226.311953),
)
MOTORCYCLE = line(
    "sa_1984.jpg",
    "A police motorcycle has two national flags inserted on either side of its front windshield",
    (1150.03937, 59.976378, 484.343504, 429.05315),
)
FORMS = ("full_res", "zoom_2x", "zoom_3x")


def test_sorce_1k_has_three_pictures_for_each_caption(tmp_path: Path, draw: Draw) -> None:
    draw(*(f"{form}/{each['image']}" for form in FORMS for each in (LOLLIPOP, MOTORCYCLE)), size=(2250, 1500))
    write(tmp_path / "dataset.jsonl", LOLLIPOP, MOTORCYCLE)
    truth = sorce1k.read(tmp_path)
    assert answers(truth)[LOLLIPOP["caption"]] == {
        "full_res/sa_1922.jpg": [pytest.approx((999.271137, 777.332362, 1199.344023, 1003.644315))],
        "zoom_2x/sa_1922.jpg": [],
        "zoom_3x/sa_1922.jpg": [],
    }
    assert (len(truth.pictures), len(truth.queries), truth.remarks) == (6, 2, ())


def test_sorce_1k_says_what_is_left_out(tmp_path: Path, draw: Draw) -> None:
    draw(
        *(f"{form}/{name}" for form in FORMS for name in ("a.jpg", "b.jpg", "c.jpg")), "full_res/d.jpg", "zoom_2x/e.jpg"
    )
    write(
        tmp_path / "dataset.jsonl",
        line("a.jpg", "a cup", (10, 10, 20, 20), (5, 5, 1, 2), (200, 0, 10, 10), (90, 70, 30, 30)),
        line("a.jpg", "again", (0, 0, 9, 9)),
        line("b.jpg", "no box"),
        line("c.jpg", " ", (0, 0, 9, 9)),
        line("d.jpg", "no zooms", (0, 0, 9, 9)),
    )
    truth = sorce1k.read(tmp_path)
    assert answers(truth)["a cup"]["full_res/a.jpg"] == [(10, 10, 30, 30), (90, 70, 100, 80)]
    assert [query.text for query in truth.queries] == ["a cup", "no box"]
    assert sorted(truth.remarks) == [
        "boxes of less than 4 x 4 pixels, left out: 1 (first: full_res/a.jpg in dataset.jsonl, line 1).",
        "boxes outside of their picture, left out: 1 (first: full_res/a.jpg in dataset.jsonl, line 1).",
        "boxes that reach beyond their picture, cut at its edge: 1 (first: full_res/a.jpg in dataset.jsonl, line 1).",
        "captions left out because one of their pictures is missing: 1 (first: dataset.jsonl, line 5).",
        "captions without a box, which count for retrieval only: 1 (first: full_res/b.jpg in dataset.jsonl, line 3).",
        "lines whose 'caption' is blank, left out: 1 (first: dataset.jsonl, line 4).",
        "lines whose picture an earlier line has, left out: 1 (first: dataset.jsonl, line 2).",
        "pictures in the folder that the label file does not name, left out: 4 (first: full_res/c.jpg).",
        "pictures that are not in the folder, left out: 2 (first: zoom_2x/d.jpg).",
    ]


def test_a_sorce_1k_line_without_boxes_counts_for_retrieval(tmp_path: Path, draw: Draw) -> None:
    draw("full_res/a.jpg", "full_res/b.jpg")
    write(
        tmp_path / "dataset.jsonl",
        {"image": "a.jpg", "caption": "a cup"},
        {"image": "b.jpg", "caption": "a kite", "bbox": None},
    )
    truth = sorce1k.read(tmp_path)
    assert answers(truth) == {"a cup": {"full_res/a.jpg": []}, "a kite": {"full_res/b.jpg": []}}
    assert f"{sorce1k.UNLOCATED}: 2 (first: full_res/a.jpg in dataset.jsonl, line 1)." in truth.remarks


def test_sorce_1k_without_zooms_has_the_full_pictures(tmp_path: Path, draw: Draw) -> None:
    draw("full_res/sa_1922.jpg", size=(2250, 1500))
    write(tmp_path / "dataset.jsonl", LOLLIPOP)
    truth = sorce1k.read(tmp_path)
    assert list(answers(truth)[LOLLIPOP["caption"]]) == ["full_res/sa_1922.jpg"]
    assert truth.remarks[0].startswith("no folders zoom_2x and zoom_3x, so that only the form with full_res is asked")


@needs_data
def test_the_published_sorce_1k_is_read_whole(tmp_path: Path) -> None:
    published = DATA / "sorce-1k/dataset.jsonl"
    names = [json.loads(row)["image"] for row in published.read_text().splitlines()]
    stand_in(tmp_path, *(f"{form}/{name}" for form in FORMS for name in names))
    truth = sorce1k.read(tmp_path, published)
    assert (len(truth.queries), len(truth.pictures)) == (1023, 3069)
    located = [boxes for query in truth.queries for boxes in query.answers.values() if boxes]
    assert (len(located), sum(map(len, located))) == (1023, 1024)
    assert truth.remarks == (
        "boxes of less than 4 x 4 pixels, left out: 1 (first: full_res/sa_1068.jpg in dataset.jsonl, line 177).",
    )


LABELS = {"image": "a.jpg", "width": 100, "height": 80, "objects": [{"label": "cup", "box": [10, 10, 20, 20]}]}
CUP = {"cup": {"images/a.jpg": [(10, 10, 20, 20)]}}


def test_lines_are_read_with_pictures_in_a_folder_of_their_own(tmp_path: Path, draw: Draw) -> None:
    draw("images/a.jpg", "images/b.jpg")
    write(tmp_path / "labels.jsonl", LABELS, {"image": "b.jpg", "objects": []})
    truth = lines.read(tmp_path)
    assert (answers(truth), len(truth.pictures), truth.remarks) == (CUP, 2, ())


def test_lines_say_what_is_left_out(tmp_path: Path, draw: Draw) -> None:
    draw("a.jpg", "b.jpg", "x/c.jpg", "y/c.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    write(
        tmp_path / "labels.jsonl",
        LABELS,
        {"image": "a.jpg", "objects": [{"label": "cup", "box": [5, 5, 5, 9]}, {"label": "cup", "box": [0, 0, 9, 9]}]},
        {"image": "gone.jpg", "objects": [{"label": "kite", "box": [0, 0, 9, 9]}]},
        {"image": "c.jpg", "objects": [{"label": "cup", "box": [0, 0, 9, 9]}]},
        {"image": "broken.jpg", "objects": [{"label": "cup", "box": [0, 0, 9, 9]}]},
    )
    truth = lines.read(tmp_path)
    assert answers(truth) == {"cup": {"a.jpg": [(10, 10, 20, 20), (0, 0, 9, 9)], "broken.jpg": [(0, 0, 9, 9)]}}
    assert sorted(truth.remarks) == [
        "boxes without an area, left out: 1 (first: a.jpg in labels.jsonl, line 2, object 1).",
        "classes that no picture here shows, not asked for: 1 (first: kite).",
        f"{lines.REPEATED}: 1 (first: a.jpg in labels.jsonl, line 2).",
        "names that several pictures have, left out: 1 (first: c.jpg).",
        "pictures in the folder that the label file does not name, left out: 3 (first: b.jpg).",
        "pictures that are not in the folder, left out: 1 (first: gone.jpg).",
        "pictures that cannot be opened, which therefore are not found: 1 (first: broken.jpg).",
    ]


@pytest.mark.parametrize(
    ("size", "turn", "boxes", "remark"),
    [
        ((200, 160), None, [(20, 20, 40, 40)], "pictures of another size than the label file says, their boxes scaled"),
        ((80, 100), None, [], "pictures of another shape than the label file says, their boxes left out"),
        ((80, 100), 6, [(10, 10, 20, 20)], None),
    ],
)
def test_boxes_are_those_of_the_picture_as_it_is_seen(
    tmp_path: Path,
    draw: Draw,
    size: tuple[int, int],
    turn: int | None,
    boxes: list[tuple[float, ...]],
    remark: str | None,
) -> None:
    draw("images/a.jpg", size=size, turn=turn)
    write(tmp_path / "labels.jsonl", LABELS)
    truth = lines.read(tmp_path)
    assert answers(truth) == {"cup": {"images/a.jpg": boxes}}
    assert truth.remarks == (() if remark is None else (f"{remark}: 1 (first: images/a.jpg).",))


@needs_data
def test_the_real_photos_are_read_whole() -> None:
    truth = lines.read(DATA / "photos")
    boxes = [
        (box, truth.pictures[key]) for query in truth.queries for key, some in query.answers.items() for box in some
    ]
    assert (len(truth.pictures), len(boxes), truth.remarks) == (128, 929, ())
    assert sum(box.share_of(*picture.size) < 0.01 for box, picture in boxes if picture.size) == 452


def test_coco_is_read_with_crowds_and_absent_classes(tmp_path: Path, draw: Draw) -> None:
    draw("val2017/1.jpg", "val2017/2.jpg")
    content = {
        "images": [
            {"id": 1, "file_name": "1.jpg", "width": 100, "height": 80},
            # LVIS names its pictures this way.
            {"id": 2, "coco_url": "http://images.cocodataset.org/val2017/2.jpg", "width": 100, "height": 80},
            {"id": 3, "file_name": "3.jpg", "width": 100, "height": 80},
        ],
        "categories": [{"id": 7, "name": "aerosol_can"}, {"id": 8, "name": "cup"}, {"id": 9, "name": "kite"}],
        "annotations": [
            {"image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40], "iscrowd": 0},
            {"image_id": 2, "category_id": 8, "bbox": [0, 0, 90, 70], "iscrowd": 1},
            {"image_id": 3, "category_id": 8, "bbox": [0, 0, 9, 9]},
            {"image_id": 99, "category_id": 8, "bbox": [0, 0, 9, 9]},
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    truth = coco.read(tmp_path)
    assert answers(truth) == {"aerosol can": {"val2017/1.jpg": [(10, 20, 40, 60)]}, "cup": {"val2017/2.jpg": []}}
    assert sorted(truth.remarks) == [
        f"{coco.STRAY}: 1 (first: 99 in instances.json, annotation 4).",
        f"{coco.CROWD}: 1 (first: val2017/2.jpg in instances.json, annotation 2).",
        "classes that no picture here shows, not asked for: 1 (first: kite).",
        "pictures that are not in the folder, left out: 1 (first: 3.jpg).",
    ]


def test_coco_pictures_that_share_an_id_are_left_out(tmp_path: Path, draw: Draw) -> None:
    draw("1.jpg", "2.jpg", "3.jpg", "4.jpg")
    content = {
        "images": [
            *({"id": 1, "file_name": name} for name in ("1.jpg", "2.jpg")),
            *({"id": 2, "file_name": name} for name in ("gone.jpg", "3.jpg")),
            # The same picture twice is not ambiguous.
            *({"id": 3, "file_name": "4.jpg"} for _ in range(2)),
        ],
        "categories": [{"id": 7, "name": "cup"}],
        "annotations": [{"image_id": number, "category_id": 7, "bbox": [0, 0, 9, 9]} for number in (1, 2, 3)],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    truth = coco.read(tmp_path)
    assert answers(truth) == {"cup": {"4.jpg": [(0, 0, 9, 9)]}}
    assert [picture.name for picture in truth.pictures.values()] == ["4.jpg"]
    assert sorted(truth.remarks) == [
        "pictures that are not in the folder, left out: 1 (first: gone.jpg).",
        f"{coco.SHARED}: 4 (first: 1.jpg).",
        f"{coco.REPEATED}: 1 (first: 4.jpg).",
    ]


@pytest.mark.parametrize("place", ["labels.json", "annotations/instances.json"])
def test_a_folder_with_json_and_no_data_yaml_is_cocos(tmp_path: Path, draw: Draw, place: str) -> None:
    draw("images/a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 7, "name": "cup"}],
        "annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]}],
    }
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(json.dumps(content))
    assert answers(read_labels(tmp_path)) == {"cup": {"images/a.jpg": [(1, 2, 4, 6)]}}


def test_a_folder_of_yolo_with_other_json_is_yolos(tmp_path: Path, draw: Draw) -> None:
    draw("images/a.jpg")
    (tmp_path / "data.yaml").write_text("names: [cup]")
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.2 0.5")
    assert answers(read_labels(tmp_path)) == {"cup": {"images/a.jpg": [pytest.approx((40, 20, 60, 60))]}}


@pytest.mark.parametrize(("pictures", "labels"), [("images/val", "labels/val"), ("images/val", "images/val")])
def test_yolo_is_read_with_labels_apart_or_beside(tmp_path: Path, draw: Draw, pictures: str, labels: str) -> None:
    draw(*(f"{pictures}/{name}.jpg" for name in "abc"))
    (tmp_path / labels).mkdir(parents=True, exist_ok=True)
    (tmp_path / labels / "a.txt").write_text("0 0.5 0.5 0.2 0.25\n\n5 0.5 0.5 0.1 0.1\n")
    (tmp_path / labels / "b.txt").write_text("1 0.1 0.1 0.3 0.1 0.2 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames:\n  0: cup\n  1: kite\n  2: bus\n")
    truth = yolo.read(tmp_path)
    assert answers(truth) == {
        "cup": {f"{pictures}/a.jpg": [pytest.approx((40, 30, 60, 50))]},
        "kite": {f"{pictures}/b.jpg": [pytest.approx((10, 8, 30, 40))]},
    }
    assert len(truth.pictures) == 3
    assert sorted(truth.remarks) == [
        "classes that no picture here shows, not asked for: 1 (first: bus).",
        f"objects of a class without a name, left out: 1 (first: 5 in {labels}/a.txt, line 3).",
        f"pictures without a label file, taken to show nothing that is asked for: 1 (first: {pictures}/c.jpg).",
    ]


@pytest.mark.parametrize("below", [".", "images/val"])
def test_yolo_says_which_label_files_have_no_picture(tmp_path: Path, draw: Draw, below: str) -> None:
    draw("images/val/a.jpg")
    (tmp_path / "labels/val").mkdir(parents=True)
    for name in ("a", "gone", "also gone"):
        (tmp_path / f"labels/val/{name}.txt").write_text("\n0 0.5 0.5 1 1\n")
    # Text files that are not labels.
    (tmp_path / "labels/val/empty.txt").touch()
    (tmp_path / "labels/val/credits.txt").write_bytes("© nobody".encode("latin-1"))
    (tmp_path / "val.txt").write_text("images/val/a.jpg\n")
    (tmp_path / "classes.txt").write_text("cup\n")
    truth = yolo.read(tmp_path / below, tmp_path / "classes.txt")
    assert list(answers(truth)) == ["cup"]
    assert truth.remarks == (
        f"{yolo.STRAY}: 2 (first: {'also gone.txt' if below != '.' else 'labels/val/also gone.txt'}).",
    )


def test_yolo_labels_that_are_no_text_are_remarked_on(tmp_path: Path, draw: Draw) -> None:
    draw("a.jpg", "b.jpg")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "b.txt").write_bytes("0 0.5 0.5 1 1\n".encode("utf-16-le"))
    (tmp_path / "classes.txt").write_text("cup\n")
    truth = yolo.read(tmp_path)
    assert answers(truth) == {"cup": {"a.jpg": [(0, 0, 100, 80)]}}
    assert len(truth.pictures) == 2
    assert truth.remarks == (f"{yolo.UNREAD}: 1 (first: b.txt).",)


def test_yolo_takes_a_list_of_names(tmp_path: Path, draw: Draw) -> None:
    draw("a.jpg")
    (tmp_path / "a.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "classes.txt").write_text("cup\nkite\n")
    assert answers(yolo.read(tmp_path)) == {"kite": {"a.jpg": [(0, 0, 100, 80)]}}


# SOREC (github.com/mmaiLab/sorec, MIT), validation file.
SIGN = {
    "image": "00004.jpg",
    "bbox": [906, 823, 30, 36],
    "ref": "The white sign with black arrows and text is situated between two traffic lights, both of which are "
    "displaying red signals.",
    "id": 3993,
}


def test_sorec_has_a_box_for_each_expression(tmp_path: Path, draw: Draw) -> None:
    draw("images/00004.jpg", size=(2400, 1800))
    gone, outside, blank = {**SIGN, "image": "1.jpg"}, {**SIGN, "bbox": [2500, 0, 9, 9]}, {**SIGN, "ref": ""}
    (tmp_path / "val.json").write_text(json.dumps([SIGN, gone, outside, blank]))
    truth = sorec.read(tmp_path)
    assert answers(truth) == {SIGN["ref"]: {"images/00004.jpg": [(906, 823, 936, 859)]}}
    assert [remark.partition(" (")[0] for remark in truth.remarks] == [
        "pictures that are not in the folder, left out: 1",
        "expressions left out because their picture is missing or their box cannot be used: 2",
        "boxes outside of their picture, left out: 1",
        "expressions whose 'ref' is blank, left out: 1",
    ]


@needs_data
@pytest.mark.parametrize(("name", "expressions"), [("val-500.json", 500), ("testA-300.json", 300)])
def test_the_published_sorec_files_are_read_whole(tmp_path: Path, name: str, expressions: int) -> None:
    published = DATA / "sorec" / name
    stand_in(tmp_path, *(row["image"] for row in json.loads(published.read_text())))
    truth = sorec.read(tmp_path, published)
    assert (len(truth.queries), truth.remarks) == (expressions, ())


@pytest.mark.parametrize(
    ("read", "name", "content", "sentence"),
    [
        (
            lines.read,
            "labels.jsonl",
            '{"image": "a.jpg"}',
            "lines that have no 'objects', left out: 1 (first: labels.jsonl, line 1)",
        ),
        (lines.read, "labels.jsonl", "cup", "lines that are not valid JSON, left out: 1 (first: labels.jsonl, line 1)"),
        (
            sorce1k.read,
            "dataset.jsonl",
            '{"image": "a.jpg", "caption": 3}',
            "lines whose 'caption' is not text, left out: 1 (first: dataset.jsonl, line 1)",
        ),
        (coco.read, "a.json", "{}", "has no list 'categories'; name another label file"),
        (
            coco.read,
            "a.json",
            "{",
            "is not valid JSON: Expecting property name enclosed in double quotes (line 1, column 2).",
        ),
        (sorec.read, "a.json", "{}", "is not a list of expressions; name another label file with --ground-truth FILE."),
        (yolo.read, "data.yaml", "nc: 3", "has no 'names', a list or a mapping; name another"),
        (yolo.read, "data.yaml", "names: 3", "data.yaml' has no 'names'"),
        (
            yolo.read,
            "b.txt",
            "",
            "holds no data.yaml or *.yaml or *.yml or classes.txt or *.names; name the label file with",
        ),
        (lines.read, "labels.jsonl", '{"image": "b.jpg", "objects": []}', "no queries: pictures that are not in"),
    ],
)
def test_a_truth_of_another_form_is_one_sentence(
    tmp_path: Path, draw: Draw, read: Callable[[Path], GroundTruth], name: str, content: str, sentence: str
) -> None:
    draw("a.jpg")
    (tmp_path / name).write_text(content)
    with pytest.raises(GroundTruthError) as error:
        read(tmp_path)
    assert sentence in str(error.value)


def test_of_several_truths_one_must_be_named(tmp_path: Path, draw: Draw) -> None:
    draw("a.jpg")
    for name in ("val.json", "test.json"):
        (tmp_path / name).write_text("[]")
    with pytest.raises(GroundTruthError, match=r"holds 2 files \*\.json; name one of them with --ground-truth FILE\."):
        sorec.read(tmp_path)


def test_a_folder_without_pictures_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path / "labels.jsonl", LABELS)
    with pytest.raises(GroundTruthError, match="there are no pictures in"):
        lines.read(tmp_path)
