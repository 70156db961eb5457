"""In every format, a bad row is left out alone: it is counted with its place, and the good rows are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sorce.errors import GroundTruthError
from sorce.evaluate.readers import coco, lines, sorce1k, sorec, yolo
from tests.evaluate import labelling
from tests.evaluate.labelling import answers, draw, tuples

GOOD = {"image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]}
CUP = {"cup": {"a.jpg": [(10, 20, 40, 60)]}}
NO_KITE = "classes that no picture here shows, not asked for: 1 (first: kite)."


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


@pytest.mark.parametrize(
    ("bad", "remark"),
    [
        pytest.param(without(GOOD, "bbox"), "annotations that have no 'bbox'", marks=pytest.mark.fault("8.1.1")),
        pytest.param({**GOOD, "bbox": []}, "annotations that have no 'bbox'", marks=pytest.mark.fault("8.1.2")),
        pytest.param({**GOOD, "bbox": None}, "annotations that have no 'bbox'", marks=pytest.mark.fault("8.1.3")),
        pytest.param(
            {**GOOD, "category_id": 99},
            "annotations of a class without one valid name",
            marks=pytest.mark.fault("8.1.4"),
        ),
        pytest.param(
            without(GOOD, "category_id"), "annotations that have no 'category_id'", marks=pytest.mark.fault("8.1.5")
        ),
        pytest.param({**GOOD, "bbox": [1, 2, 3]}, "annotations whose 'bbox' is not four finite numbers"),
        pytest.param({**GOOD, "bbox": "1 2 3 4"}, "annotations whose 'bbox' is not four finite numbers"),
        pytest.param({**GOOD, "bbox": {"x": 1}}, "annotations whose 'bbox' is not four finite numbers"),
        pytest.param({**GOOD, "bbox": [1, None, 3, 4]}, "annotations whose 'bbox' is not four finite numbers"),
        pytest.param({**GOOD, "bbox": [1, True, 3, 4]}, "annotations whose 'bbox' is not four finite numbers"),
        pytest.param(
            {**GOOD, "bbox": [1, 2, float("nan"), 4]},
            "annotations whose 'bbox' is not four finite numbers",
            marks=pytest.mark.fault("8.s.1"),
        ),
        pytest.param({**GOOD, "bbox": [1, 2, 10**400, 4]}, "annotations whose 'bbox' is not four finite numbers"),
        pytest.param(
            {**GOOD, "bbox": [50, 50, -9, 9]},
            "annotations whose 'bbox' has a negative width or height",
            marks=pytest.mark.fault("8.s.2"),
        ),
        pytest.param(without(GOOD, "image_id"), "annotations that have no 'image_id'"),
        pytest.param({**GOOD, "image_id": [1]}, "annotations whose 'image_id' is neither a number nor a text"),
        pytest.param({**GOOD, "image_id": True}, "annotations whose 'image_id' is neither a number nor a text"),
        pytest.param({**GOOD, "category_id": {}}, "annotations whose 'category_id' is neither a number nor a text"),
        pytest.param("cup", "annotations that are not JSON objects"),
        pytest.param(None, "annotations that are not JSON objects"),
    ],
)
@pytest.mark.fault("8.1.6")
def test_a_bad_annotation_is_left_out_and_named_and_the_others_count(tmp_path: Path, bad: Any, remark: str) -> None:
    draw(tmp_path, "a.jpg")
    labelling.coco(tmp_path, GOOD, bad, bad)
    truth = coco.read(tmp_path)
    assert answers(truth) == CUP
    example = "99 in instances.json, annotation 2" if "without one" in remark else "instances.json, annotation 2"
    assert truth.remarks == (f"{remark}, left out: 2 (first: {example}).", NO_KITE)


@pytest.mark.fault("8.s.3")
@pytest.mark.parametrize(
    ("bad", "remark"),
    [
        ({"id": 2}, "images that have no 'file_name', left out: 1 (first: instances.json, image 2)."),
        (
            {"id": 2, "file_name": 5},
            "images whose 'file_name' is not text, left out: 1 (first: instances.json, image 2).",
        ),
        ({"file_name": "b.jpg"}, "images that have no 'id', left out: 1 (first: instances.json, image 2)."),
        (7, "images that are not JSON objects, left out: 1 (first: instances.json, image 2)."),
        (
            {"id": 2, "coco_url": "http://[/b.jpg"},
            "images whose 'coco_url' is not an address, left out: 1 (first: instances.json, image 2).",
        ),
    ],
)
def test_a_bad_image_is_left_out_with_its_annotations(tmp_path: Path, bad: Any, remark: str) -> None:
    draw(tmp_path, "a.jpg")
    labelling.coco(tmp_path, GOOD, {**GOOD, "image_id": 2}, images=[{"id": 1, "file_name": "a.jpg"}, bad])
    truth = coco.read(tmp_path)
    assert answers(truth) == CUP
    assert remark in truth.remarks


@pytest.mark.fault("8.s.4")
@pytest.mark.parametrize(
    "size", [{"width": 0, "height": 0}, {"width": None}, {"width": "w", "height": -1}, {"height": []}]
)
def test_an_image_without_a_valid_size_keeps_its_boxes(tmp_path: Path, size: dict[str, Any]) -> None:
    draw(tmp_path, "a.jpg")
    labelling.coco(tmp_path, GOOD, images=[{"id": 1, "file_name": "a.jpg", **size}])
    truth = coco.read(tmp_path)
    assert answers(truth) == CUP
    assert truth.remarks[0].startswith(
        "pictures whose 'width' or 'height' is not a positive number, their boxes taken as"
    )
    assert truth.remarks[0].endswith(": 1 (first: instances.json, image 1).")


@pytest.mark.fault("8.s.5")
@pytest.mark.parametrize(
    ("bad", "remark"),
    [
        ({"id": 9}, "categories that have no 'name', left out: 1 (first: instances.json, category 2)."),
        ({"id": 9, "name": " "}, "categories whose 'name' is blank, left out: 1 (first: instances.json, category 2)."),
        (
            {"id": 9, "name": {}},
            "categories whose 'name' is not text, left out: 1 (first: instances.json, category 2).",
        ),
        (
            {"id": 9, "name": "\ud800"},
            "categories whose 'name' is not valid UTF-8, left out: 1 (first: instances.json, category 2).",
        ),
        ({"name": "bus"}, "categories that have no 'id', left out: 1 (first: instances.json, category 2)."),
    ],
)
def test_a_bad_category_is_left_out_and_its_annotations_are_counted(tmp_path: Path, bad: Any, remark: str) -> None:
    draw(tmp_path, "a.jpg")
    labelling.coco(tmp_path, GOOD, {**GOOD, "category_id": 9}, categories=[{"id": 7, "name": "cup"}, bad])
    truth = coco.read(tmp_path)
    assert answers(truth) == CUP
    assert truth.remarks == (remark, f"{coco.UNNAMED_CLASS}: 1 (first: 9 in instances.json, annotation 2).")


@pytest.mark.fault("8.s.6")
def test_categories_that_share_an_id_are_left_out(tmp_path: Path) -> None:
    draw(tmp_path, "a.jpg")
    categories = [{"id": 7, "name": "cup"}, {"id": 8, "name": "kite"}, {"id": 8, "name": "bus"}]
    labelling.coco(tmp_path, GOOD, {**GOOD, "category_id": 8}, categories=categories)
    truth = coco.read(tmp_path)
    assert answers(truth) == CUP
    assert truth.remarks == (
        f"{coco.SHARED_CLASS}: 2 (first: kite).",
        f"{coco.UNNAMED_CLASS}: 1 (first: 8 in instances.json, annotation 2).",
    )


OBJECT = {"label": "cup", "box": [10, 20, 40, 60]}


@pytest.mark.fault("8.s.7")
@pytest.mark.parametrize(
    ("bad", "remark"),
    [
        (without(OBJECT, "box"), "that have no 'box'"),
        ({**OBJECT, "box": None}, "that have no 'box'"),
        ({**OBJECT, "box": [1, 2, float("inf"), 4]}, "whose 'box' is not four finite numbers"),
        ({**OBJECT, "box": [40, 20, 10, 60]}, "whose 'box' has a negative width or height"),
        (without(OBJECT, "label"), "that have no 'label'"),
        ({**OBJECT, "label": ["cup"]}, "whose 'label' is not text"),
        ({**OBJECT, "label": ""}, "whose 'label' is blank"),
        pytest.param(
            {**OBJECT, "label": "a" * 2001},
            "whose 'label' is longer than 2,000 characters",
            marks=pytest.mark.fault("8.s.31"),
        ),
        ([], "that are not JSON objects"),
    ],
)
def test_a_bad_object_costs_itself_and_not_its_line(tmp_path: Path, bad: Any, remark: str) -> None:
    draw(tmp_path, "a.jpg")
    labelling.lines(tmp_path / "labels.jsonl", {"image": "a.jpg", "objects": [bad, OBJECT]})
    truth = lines.read(tmp_path)
    assert answers(truth) == CUP
    assert truth.remarks == (f"objects {remark}, left out: 1 (first: labels.jsonl, line 1, object 1).",)


GOOD_LINE = {"image": "a.jpg", "objects": [OBJECT]}


@pytest.mark.fault("8.s.8")
@pytest.mark.parametrize(
    ("bad", "remark"),
    [
        ("{", "lines that are not valid JSON, left out"),
        (json.dumps(GOOD_LINE) + ",", "lines that end in a comma, which JSON lines must not, left out"),
        ("[" * 100_000, "lines that are not valid JSON, left out"),
        ("[]", "lines that are not JSON objects, left out"),
        ({"objects": [OBJECT]}, "lines that have no 'image', left out"),
        ({"image": 3, "objects": [OBJECT]}, "lines whose 'image' is not text, left out"),
        ({"image": "a.jpg"}, "lines that have no 'objects', left out"),
        ({"image": "a.jpg", "objects": OBJECT}, "lines whose 'objects' is not a list, left out"),
    ],
)
def test_a_bad_line_costs_itself(tmp_path: Path, bad: Any, remark: str) -> None:
    draw(tmp_path, "a.jpg")
    labelling.lines(tmp_path / "labels.jsonl", "", bad, GOOD_LINE)
    truth = lines.read(tmp_path)
    assert answers(truth) == CUP
    assert truth.remarks == (f"{remark}: 1 (first: labels.jsonl, line 2).",)


CAPTION = {"image": "a.jpg", "caption": "a cup", "bbox": [[10, 20, 30, 40]]}


@pytest.mark.fault("8.s.9")
@pytest.mark.parametrize(
    ("bad", "remark"),
    [
        ("no JSON", "lines that are not valid JSON, left out"),
        ("3", "lines that are not JSON objects, left out"),
        (without(CAPTION, "image"), "lines that have no 'image', left out"),
        ({**CAPTION, "caption": 3}, "lines whose 'caption' is not text, left out"),
        ({**CAPTION, "caption": None}, "lines that have no 'caption', left out"),
        ({**CAPTION, "caption": "a" * 2001}, "lines whose 'caption' is longer than 2,000 characters, left out"),
    ],
)
def test_a_bad_line_of_sorce_1k_costs_itself(tmp_path: Path, bad: Any, remark: str) -> None:
    draw(tmp_path, "full_res/a.jpg")
    labelling.lines(tmp_path / "dataset.jsonl", bad, CAPTION)
    truth = sorce1k.read(tmp_path)
    assert answers(truth) == {"a cup": {"full_res/a.jpg": [(10, 20, 40, 60)]}}
    assert truth.remarks[1:] == (f"{remark}: 1 (first: dataset.jsonl, line 1).",)


@pytest.mark.fault("8.s.10")
@pytest.mark.parametrize(
    ("boxes", "remark"),
    [
        ([[10, 20, 30, 40], None], "boxes that have no 'bbox', left out: 1 (first: dataset.jsonl, line 1, box 2)."),
        (
            [[1, 2, 3], [10, 20, 30, 40]],
            "boxes whose 'bbox' is not four finite numbers, left out: 1 (first: dataset.jsonl, line 1, box 1).",
        ),
        ([10, 20, 30, 40], None),
    ],
)
def test_a_bad_box_of_sorce_1k_costs_neither_the_others_nor_the_caption(
    tmp_path: Path, boxes: list[Any], remark: str | None
) -> None:
    draw(tmp_path, "full_res/a.jpg")
    labelling.lines(tmp_path / "dataset.jsonl", {**CAPTION, "bbox": boxes})
    truth = sorce1k.read(tmp_path)
    assert answers(truth) == {"a cup": {"full_res/a.jpg": [(10, 20, 40, 60)]}}
    assert truth.remarks[1:] == (() if remark is None else (remark,))


EXPRESSION = {"image": "a.jpg", "bbox": [10, 20, 30, 40], "ref": "the cup", "id": 1}


@pytest.mark.fault("8.s.11")
@pytest.mark.parametrize(
    ("bad", "remark"),
    [
        (without(EXPRESSION, "bbox"), "that have no 'bbox'"),
        ({**EXPRESSION, "bbox": []}, "that have no 'bbox'"),
        ({**EXPRESSION, "bbox": [1, 2, -3, 4]}, "whose 'bbox' has a negative width or height"),
        ({**EXPRESSION, "ref": None}, "that have no 'ref'"),
        ({**EXPRESSION, "ref": "a" * 2001}, "whose 'ref' is longer than 2,000 characters"),
        ({**EXPRESSION, "image": 4}, "whose 'image' is not text"),
        ("the cup", "that are not JSON objects"),
    ],
)
def test_a_bad_expression_costs_itself(tmp_path: Path, bad: Any, remark: str) -> None:
    draw(tmp_path, "a.jpg")
    (tmp_path / "val.json").write_text(json.dumps([EXPRESSION, bad]))
    truth = sorec.read(tmp_path)
    assert answers(truth) == {"the cup": {"a.jpg": [(10, 20, 40, 60)]}}
    assert truth.remarks == (f"expressions {remark}, left out: 1 (first: val.json, expression 2).",)


def yolo_folder(folder: Path, rows: str, names: str = "names: [cup, kite]\n") -> None:
    draw(folder, "images/a.jpg", size=(200, 100))
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "labels/a.txt").write_text(rows)
    (folder / "data.yaml").write_text(names)


@pytest.mark.fault("8.s.12")
@pytest.mark.parametrize(
    ("bad", "remark"),
    [
        ("0 0.5 0.5 0.2", "that are neither a box nor a polygon"),
        ("0 0.5 0.5 0.2 0.2 0.9", "that are neither a box nor a polygon"),
        ("0 0.5 0.5 0.2 x", "that are not numbers alone"),
        ("0,0.5,0.5,0.2,0.2", "that are not numbers alone"),
        ("0 0.5 0.5 nan 0.2", "with a number that is not finite"),
        ("inf 0.5 0.5 0.2 0.2", "with a number that is not finite"),
        ("0.5 0.5 0.5 0.2 0.2", "whose class is not a whole number"),
        ("0 0.5 0.5 -0.2 0.2", "whose 'box' has a negative width or height"),
    ],
)
def test_a_bad_row_of_yolo_costs_itself(tmp_path: Path, bad: str, remark: str) -> None:
    yolo_folder(tmp_path, f"{bad}\n0 0.5 0.5 0.1 0.2\n")
    truth = yolo.read(tmp_path)
    assert answers(truth) == {"cup": {"images/a.jpg": [pytest.approx((90, 40, 110, 60))]}}
    assert truth.remarks[0] == f"rows {remark}, left out: 1 (first: labels/a.txt, line 1)."


@pytest.mark.fault("8.2.1")
@pytest.mark.parametrize(
    ("shape", "points"), [("[3, 2]", "0.1 0.1 0.9 0.9 0 0"), ("[2, 3]", "0.1 0.1 2 0.9 0.9 0"), ("[2, 3]", "")]
)
def test_a_pose_s_box_is_the_one_before_its_key_points(tmp_path: Path, shape: str, points: str) -> None:
    yolo_folder(tmp_path, f"0 0.5 0.5 0.1 0.2 {points}\n", f"kpt_shape: {shape}\nnames:\n  0: cup\n")
    truth = yolo.read(tmp_path)
    assert answers(truth) == {"cup": {"images/a.jpg": [pytest.approx((90, 40, 110, 60))]}}
    assert truth.remarks == ()


@pytest.mark.fault("8.s.13")
def test_a_row_with_other_key_points_than_kpt_shape_is_left_out(tmp_path: Path) -> None:
    rows = "0 0.5 0.5 0.1 0.2 0.1 0.1 0.9 0.9\n0 0.5 0.5 0.1 0.2 0.1 0.1\n"
    yolo_folder(tmp_path, rows, "kpt_shape: [2, 2]\nnames: [cup]\n")
    truth = yolo.read(tmp_path)
    assert answers(truth) == {"cup": {"images/a.jpg": [pytest.approx((90, 40, 110, 60))]}}
    assert truth.remarks == (
        "rows that are neither a box nor a box with the key points of kpt_shape, left out: 1"
        " (first: labels/a.txt, line 2).",
    )


@pytest.mark.parametrize("shape", ["17", "[17]", "[17, x]", "{a: 1}", "[-1, 3]"])
def test_a_kpt_shape_that_is_none_is_one_sentence(tmp_path: Path, shape: str) -> None:
    yolo_folder(tmp_path, "0 0.5 0.5 0.1 0.2\n", f"kpt_shape: {shape}\nnames: [cup]\n")
    with pytest.raises(
        GroundTruthError, match=r"'kpt_shape' that is not a list of two whole numbers, such as \[17, 3\]"
    ):
        yolo.read(tmp_path)


@pytest.mark.parametrize(
    ("row", "box"),
    [
        ("0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6", (20, 20, 60, 60)),  # an oriented box of four corners
        ("0 0.1 0.2 0.3 0.2 0.2 0.6", (20, 20, 60, 60)),  # a segment of three points
    ],
)
def test_oriented_boxes_and_segments_become_the_box_round_them(
    tmp_path: Path, row: str, box: tuple[float, ...]
) -> None:
    yolo_folder(tmp_path, row)
    assert answers(yolo.read(tmp_path)) == {"cup": {"images/a.jpg": [pytest.approx(box)]}}


@pytest.mark.fault("8.3.5")
@pytest.mark.parametrize("form", ["list", "mapping"])
def test_class_names_are_those_written(tmp_path: Path, form: str) -> None:
    written = ["yes", "no", "on", "off", "007", "12:30", "null", "1.0", "2024-01-01", "0x1F", "~"]
    entries = (f"  - {name}" if form == "list" else f"  {number}: {name}" for number, name in enumerate(written))
    rows = "".join(f"{number} 0.5 0.5 0.1 0.2\n" for number in range(len(written)))
    yolo_folder(tmp_path, rows, "names:\n" + "\n".join(entries) + "\n")
    assert sorted(answers(yolo.read(tmp_path))) == sorted(written)


@pytest.mark.fault("8.s.14")
def test_a_bad_class_name_costs_itself(tmp_path: Path) -> None:
    names = "names:\n  0: cup\n  1: [a, b]\n  two: kite\n  3: ''\n"
    yolo_folder(tmp_path, "0 0.5 0.5 0.1 0.2\n1 0.5 0.5 0.1 0.2\n", names)
    truth = yolo.read(tmp_path)
    assert list(answers(truth)) == ["cup"]
    assert truth.remarks == (
        "class names that are not texts, left out: 1 (first: data.yaml, name 2).",
        "class names whose number is not a whole number, left out: 1 (first: data.yaml, name 3).",
        "objects of a class without a name, left out: 1 (first: 1 in labels/a.txt, line 2).",
    )


def test_what_cannot_be_used_of_a_valid_box_still_says_that_the_picture_shows_the_class(tmp_path: Path) -> None:
    draw(tmp_path, "a.jpg")
    labelling.coco(tmp_path, {**GOOD, "bbox": [10, 20, 0, 40]}, {**GOOD, "category_id": 8, "bbox": [500, 0, 9, 9]})
    truth = coco.read(tmp_path)
    assert answers(truth) == {"cup": {"a.jpg": []}, "kite": {"a.jpg": []}}
    assert [tuples(boxes) for query in truth.queries for boxes in query.answers.values()] == [[], []]


@pytest.mark.fault("8.s.34")
@pytest.mark.parametrize("second", ["0: kite", "00: kite"])
def test_classes_of_yolo_that_share_a_number_are_left_out(tmp_path: Path, second: str) -> None:
    """Before, the last one was used without a message."""
    yolo_folder(tmp_path, "0 0.5 0.5 0.1 0.2\n1 0.5 0.5 0.1 0.2\n", f"names:\n  0: cup\n  1: bus\n  {second}\n")
    truth = yolo.read(tmp_path)
    assert list(answers(truth)) == ["bus"]
    assert truth.remarks[0] == (
        "classes that share a number with another one, left out, as their boxes could be of either: 2 (first: cup)."
    )


@pytest.mark.fault("8.s.35")
def test_names_that_are_given_twice_are_one_sentence(tmp_path: Path) -> None:
    yolo_folder(tmp_path, "0 0.5 0.5 0.1 0.2\n", "names: [cup]\nnames: [kite]\n")
    with pytest.raises(GroundTruthError, match=r"data.yaml' has 'names' twice; remove one of them\.$"):
        yolo.read(tmp_path)


@pytest.mark.fault("8.s.36")
def test_an_id_may_be_a_number_in_one_list_and_its_text_in_another(tmp_path: Path) -> None:
    draw(tmp_path, "a.jpg")
    labelling.coco(tmp_path, {**GOOD, "image_id": "1", "category_id": "7"})
    assert answers(coco.read(tmp_path)) == CUP
    images = [{"id": "01", "file_name": "a.jpg"}]
    labelling.coco(tmp_path, {**GOOD, "image_id": "01"}, GOOD, images=images)
    truth = coco.read(tmp_path)
    assert answers(truth) == CUP
    assert truth.remarks[0] == f"{coco.STRAY}: 1 (first: 1 in instances.json, annotation 2)."


@pytest.mark.fault("8.s.37")
def test_a_class_of_a_number_that_is_too_long_to_search_for_costs_itself(tmp_path: Path) -> None:
    draw(tmp_path, "a.jpg")
    labelling.coco(tmp_path, GOOD, categories=[{"id": 7, "name": "cup"}, {"id": 8, "name": 10**2000}])
    truth = coco.read(tmp_path)
    assert answers(truth) == CUP
    assert truth.remarks[0].startswith("categories whose 'name' is longer than 2,000 characters, left out: 1")
