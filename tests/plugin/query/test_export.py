"""Exports: each format read back by a reader that sorce did not write where there is one, and by sorce's evaluation."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from sorce.errors import BadPhoto, QueryError
from sorce.evaluate.readers import coco as coco_reader
from sorce.evaluate.readers import lines as lines_reader
from sorce.evaluate.readers import yolo as yolo_reader
from sorce.mappings import Box, Hit, Hits, Instance, Located, Match, Picture, Seen
from sorce.mappings.request import SearchRequest
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.source import photo_id_of
from sorce.plugin.query.export import FORMATS, Export, exported
from sorce.plugin.query.export_names import photo_names, safe_part, safe_path
from sorce.plugin.query.labels import Mark
from sorce.plugin.query.packing import OpenedPhoto, photos_below

SIZE = (200, 100)
ASKED = SearchRequest(["a kite", "=a  dog"])
KITE, DOG = Box(10, 20, 40, 60), Box(100, 0, 200, 50)


def match(box: Box, region: int, similarity: float = 0.5) -> Match:
    return Match(region, box, "tile", box.share_of(*SIZE), 1.0, similarity)


def hit(uri: str, *more: Any, **others: Any) -> Hit:
    name = uri.rsplit("/")[-1]
    return Hit(
        photo_id_of(uri), uri, name, ".", *SIZE, 0.75, ((match(KITE, 3),), (match(DOG, 5, 0.25),)), *more, **others
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two photos."""
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    for place, name in enumerate(("a.png", "b/=c.png")):
        image = Image.new("RGB", SIZE, (0, 0, 90 * place))
        image.paste((255, 0, 0), tuple(map(int, KITE.as_tuple())))
        image.save(folder / name)
    return folder


@pytest.fixture
def hits(photos: Path) -> Hits:
    """The second photo is a near-duplicate of the first one."""
    first, second = (hit((photos / name).as_uri()) for name in ("a.png", "b/=c.png"))
    return Hits((replace(first, duplicates=(second,)),))


def written(form: str, what: Export, *opener: Any) -> bytes:
    stream = io.BytesIO()
    assert exported(form, what, stream, *opener) == ()
    return stream.getvalue()


def test_json_is_that_of_the_command_and_hides_paths_if_asked(hits: Hits) -> None:
    told = json.loads(written("json", Export(hits, ASKED)))
    assert told["hits"][0]["uri"] == hits[0].uri
    absolute = Hits((replace(hits[0], folder=str(Path.cwd())),))
    hidden = written("json", Export(absolute, ASKED, show_paths=False)).decode()
    assert "file:" not in hidden
    assert str(Path.cwd()) not in hidden
    assert json.loads(hidden)["hits"][0]["duplicates"][0]["matches"][1][0]["region_id"] == 5


def test_csv_has_a_row_for_each_box_and_no_cell_is_a_formula(hits: Hits, photos: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", Export(hits, ASKED, [photos])).decode(), newline="")))
    assert [(row["rank"], row["photo"], row["phrase"], row["region_id"]) for row in rows] == [
        ("1", "a.png", "a kite", "3"),
        ("1", "a.png", "'=a  dog", "5"),
        ("1", "b/=c.png", "a kite", "3"),
        ("1", "b/=c.png", "'=a  dog", "5"),
    ]
    assert [float(rows[1][side]) for side in ("x1", "y1", "x2", "y2")] == list(DOG.as_tuple())
    assert [row["duplicate_of"] for row in rows] == ["", "", hits[0].photo_id, hits[0].photo_id]
    below = Hits((hit((photos / "-1+1|cmd.png").as_uri()), hit((photos / "@x.png").as_uri())))
    cells = written("csv", Export(below, SearchRequest("+1"), show_paths=False)).decode()
    names = {row["photo"] for row in csv.DictReader(io.StringIO(cells, newline=""))}
    assert names == {"'-1+1|cmd.png", "'@x.png"}
    assert "file:" not in cells


def test_a_negative_number_stays_a_number_in_csv(hits: Hits) -> None:
    low = Hits((replace(hits[0], score=-0.5, duplicates=()),))
    [row, _] = csv.DictReader(io.StringIO(written("csv", Export(low, ASKED)).decode(), newline=""))
    assert float(row["score"]) == -0.5


def test_coco_is_read_by_pycocotools_and_by_sorce(hits: Hits, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_bytes(written("coco", Export(hits, ASKED, [photos])))
    read = COCO(file)
    assert [each["name"] for each in read.loadCats(read.getCatIds())] == ["a kite", "=a dog"]
    assert [(each["file_name"], each["width"], each["height"]) for each in read.loadImgs(read.getImgIds())] == [
        ("a.png", *SIZE),
        ("b/=c.png", *SIZE),
    ]
    found = read.loadAnns(read.getAnnIds(catIds=[2]))
    assert [each["bbox"] for each in found] == [[100, 0, 100, 50]] * 2
    assert [each["area"] for each in found] == [5000] * 2
    # The mask of the polygon is the box.
    assert [int(read.annToMask(each).sum()) for each in found] == [5000] * 2
    truth = coco_reader.read(photos, file)
    assert {query.text: [*query.answers.values()] for query in truth.queries} == {
        "a kite": [(KITE,)] * 2,
        "=a dog": [(DOG,)] * 2,
    }


def test_coco_has_every_field_of_the_published_form(hits: Hits) -> None:
    told = json.loads(written("coco", Export(hits, ASKED)))
    assert set(told) == {"info", "licenses", "images", "annotations", "categories"}
    fields = {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd"}
    assert all(fields <= set(each) for each in told["annotations"])
    assert all({"id", "width", "height", "file_name"} <= set(each) for each in told["images"])
    assert all({"id", "name", "supercategory"} <= set(each) for each in told["categories"])
    for kind in ("images", "annotations", "categories"):
        numbers = [each["id"] for each in told[kind]]
        assert numbers == list(range(1, len(numbers) + 1))


def test_lines_are_read_by_evaluate_lines(hits: Hits, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_bytes(written("lines", Export(hits, ASKED)))
    truth = lines_reader.read(photos, file)
    assert {query.text: [*query.answers.values()] for query in truth.queries} == {
        "a kite": [(KITE,)] * 2,
        "=a dog": [(DOG,)] * 2,
    }
    assert truth.remarks == ()


def test_yolo_is_read_as_yaml_and_numbers_and_by_sorce(hits: Hits, photos: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(written("yolo", Export(hits, ASKED, [photos])))) as archive:
        assert archive.namelist() == ["data.yaml", "classes.txt", "labels/a.txt", "labels/b/=c.txt"]
        assert yaml.safe_load(archive.read("data.yaml")) == {
            "train": "images",
            "val": "images",
            "names": {0: "a kite", 1: "=a dog"},
        }
        assert archive.read("classes.txt").decode().splitlines() == ["a kite", "=a dog"]
        rows = [list(map(float, line.split())) for line in archive.read("labels/a.txt").decode().splitlines()]
        assert rows == [[0, 0.125, 0.4, 0.15, 0.4], [1, 0.75, 0.25, 0.5, 0.5]]
        archive.extractall(tmp_path / "set")
    photos.rename(tmp_path / "set" / "images")
    truth = yolo_reader.read(tmp_path / "set")
    assert truth.remarks == ()
    sides = {query.text: [found.as_tuple() for [found] in query.answers.values()] for query in truth.queries}
    for name, box in (("a kite", KITE), ("=a dog", DOG)):
        assert sides[name] == [pytest.approx(box.as_tuple(), abs=1e-5)] * 2


def test_yolo_leaves_out_a_photo_whose_labels_would_overwrite_anothers() -> None:
    both = Hits((hit("a/x.png"), hit("a/X.jpg")))
    stream = io.BytesIO()
    [left_out] = exported("yolo", Export(both, ASKED), stream)
    assert left_out.path == "a/X.jpg"
    assert zipfile.ZipFile(stream).namelist()[2:] == ["labels/a/x.txt"]


def test_a_zip_holds_photos_crops_and_their_labels(hits: Hits, photos: Path) -> None:
    what = Export(hits, ASKED, [photos])
    with closing(DecoderPool(DecodeLimits())) as decoders:
        content = written("zip", what, photos_below([photos], decoders))
        assert content == written("zip", what, photos_below([photos], decoders))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.read("photos/b/=c.png") == (photos / "b/=c.png").read_bytes()
        crop = Image.open(archive.open("crops/a kite/a.jpg"))
        assert crop.size == (30, 40)
        red, green, blue = crop.getpixel((15, 20))  # type: ignore[misc]
        assert red > 240 > 20 > max(green, blue)
        assert sorted(name for name in archive.namelist() if name.startswith("crops/")) == [
            "crops/=a dog/=c.jpg",
            "crops/=a dog/a.jpg",
            "crops/a kite/=c.jpg",
            "crops/a kite/a.jpg",
        ]
        listed = json.loads(archive.read("coco.json"))["images"]
        assert all(each["file_name"] in archive.namelist() for each in listed)
        assert len(json.loads(archive.read("hits.json"))["hits"]) == 1


def test_nothing_outside_the_roots_and_nothing_but_pictures_is_packed(photos: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", SIZE).save(secret)
    (photos / "key.pem").write_text("a key")
    (photos / "link.png").symlink_to(secret)
    Image.new("RGB", (9, 9)).save(photos / "changed.png")
    uris = [secret.as_uri(), "../secret.png", "%2e%2e/secret.png", "https://example.org/a.png", "file://h/a.png"]
    hostile = [*uris, *((photos / name).as_uri() for name in ("key.pem", "link.png", "gone.png", "changed.png"))]
    found = Hits(tuple(hit(uri) for uri in hostile))
    stream = io.BytesIO()
    with closing(DecoderPool(DecodeLimits())) as decoders:
        left_out = exported("zip", Export(found, ASKED, [photos]), stream, photos_below([photos], decoders))
    assert len(left_out) == len(hostile)
    assert zipfile.ZipFile(stream).namelist() == ["coco.json", "hits.json"]


def test_a_crop_is_as_large_as_a_jpeg_may_be() -> None:
    size, box = (70_000, 4), Box(0, 0, 70_000, 4)
    long = replace(hit("s3://bucket/long.png"), width=size[0], height=size[1], matches=((match(box, 0),),))
    picture = OpenedPhoto(b"bytes", Picture(Image.new("RGB", size)))
    content = written("zip", Export(Hits((long,)), SearchRequest("a kite")), lambda _: picture)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert Image.open(archive.open("crops/a kite/long.jpg")).size == (65_500, 4)


def test_names_in_a_zip_are_safe_and_each_is_there_once() -> None:
    names = ["C:\\a.png", "../../etc/x.png", "con.png", "a\0b\n.png", "A.PNG", "a.png", "é" * 300 + ".png", "...", ""]
    found = Hits(tuple(replace(hit(f"s3://bucket/{i}"), file_name=name) for i, name in enumerate(names)))
    picture = OpenedPhoto(b"bytes", Picture(Image.new("RGB", SIZE)))
    with zipfile.ZipFile(io.BytesIO(written("zip", Export(found, ASKED), lambda _: picture))) as archive:
        packed = [name for name in archive.namelist() if name.startswith("photos/")]
        assert len({name.casefold() for name in archive.namelist()}) == len(archive.namelist())
    assert len(packed) == len(names)
    for name in packed:
        parts = name.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert name.isprintable()
        assert not set(name) & set('\\:*?"<>|')
        assert all(len(part.encode()) <= 130 for part in parts)
    assert "photos/_con.png" in packed


@pytest.mark.parametrize(
    ("given", "safe"),
    [("/a/b.png", "a/b.png"), ("a/../b.png", "a/b.png"), ("a\\b.png", "a/b.png"), ("..", "photo"), ("nul", "_nul")],
)
def test_a_safe_path_stays_below_its_folder(given: str, safe: str) -> None:
    assert safe_path(given) == safe


def test_a_long_name_keeps_its_suffix() -> None:
    assert safe_part("x" * 300 + ".jpeg") == "x" * 115 + ".jpeg"


def test_photos_are_named_from_the_root_or_from_the_folder_they_share() -> None:
    uris = ["file:///srv/p/a.jpg", "file:///srv/p/b/c%20d.jpg"]
    both = [hit(uri) for uri in uris]
    assert [*photo_names(both).values()] == ["a.jpg", "b/c d.jpg"]
    assert [*photo_names(both, [Path("/srv")]).values()] == ["p/a.jpg", "p/b/c d.jpg"]
    assert [*photo_names(both, [Path("/srv/p/b"), Path("/srv/q")]).values()] == ["p/a.jpg", "p/b/c d.jpg"]
    assert [*photo_names(both, [Path("/srv/p/b")]).values()] == ["a.jpg", "c d.jpg"]
    assert [*photo_names([hit("x/y%3F.jpg"), hit("../x.jpg"), hit("s3://b/z.jpg")]).values()] == [
        "x/y?.jpg",
        "x.jpg",
        "z.jpg",
    ]


def test_the_boxes_of_a_second_stage_are_exported_where_there_are_some(hits: Hits) -> None:
    tight, other = Box(12, 22, 30, 50), Box(60, 0, 70, 10)
    seen = Seen(1.2, (Located(tight, 0.9, (), (Instance(tight, 0.9), Instance(other, 0.4))),))
    found = Hits((replace(hits[0], seen=seen, duplicates=()),))
    told = json.loads(written("coco", Export(found, ASKED)))["annotations"]
    assert [(each["source"], each["score"], each["bbox"]) for each in told] == [
        ("located", 0.9, [12, 22, 18, 28]),
        ("located", 0.4, [60, 0, 10, 10]),
        ("region", 0.25, [100, 0, 100, 50]),
    ]
    first, second = csv.DictReader(io.StringIO(written("csv", Export(found, ASKED)).decode(), newline=""))
    assert (first["located_score"], first["located_x1"], second["located_x1"]) == ("0.9", "12", "")


def test_marks_take_the_place_of_the_boxes_and_a_wrong_one_leaves_its_photo_empty(hits: Hits) -> None:
    first, second = hits[0], hits[0].duplicates[0]
    marks = [Mark(first.photo_id, KITE, "a kite", True, 3), Mark(second.photo_id, DOG, "a dog", False)]
    told = [json.loads(line) for line in written("lines", Export(hits, ASKED, marks=marks)).splitlines()]
    assert [(each["image"], [one["box"] for one in each["objects"]]) for each in told] == [
        ("a.png", [list(KITE.as_tuple())]),
        ("b/=c.png", []),
    ]
    with pytest.raises(QueryError, match="is not among the photos"):
        written("coco", Export(Hits(()), ASKED, marks=marks))


def test_a_box_is_cut_at_the_photos_edge_and_left_out_beyond_it() -> None:
    beyond = (match(Box(-50, -5, 50, 20), 1), match(Box(900, 0, 950, 10), 2))
    found = Hits((replace(hit("a.jpg"), matches=(beyond,)),))
    [only] = json.loads(written("coco", Export(found, SearchRequest("a kite"))))["annotations"]
    assert only["bbox"] == [0, 0, 50, 20]


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "zip"])
def test_no_hits_are_an_empty_file(form: str) -> None:
    assert written(form, Export(Hits(()), ASKED)) is not None


def test_unknown_formats_and_a_zip_without_an_opener_are_sentences(hits: Hits) -> None:
    with pytest.raises(QueryError, match="'xml' is not a format of an export; choose from json, csv"):
        written("xml", Export(hits, ASKED))
    with pytest.raises(QueryError, match="--root"):
        written("zip", Export(hits, ASKED))


def test_a_photo_that_cannot_be_opened_is_named(hits: Hits) -> None:
    def refuse(_: Hit) -> OpenedPhoto:
        raise BadPhoto("is empty")

    left_out = exported("zip", Export(hits, ASKED), io.BytesIO(), refuse)
    assert [(each.path, each.reason) for each in left_out] == [("a.png", "is empty"), ("b/=c.png", "is empty")]
