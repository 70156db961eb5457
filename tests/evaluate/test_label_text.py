"""Label files in all encodings and spellings that editors, spreadsheets and other systems write."""

from __future__ import annotations

import codecs
import json
import unicodedata
from pathlib import Path

import pytest

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import Remarks
from sorce.evaluate.readers import coco, lines, sorce1k, sorec, yolo
from tests.evaluate import labelling
from tests.evaluate.labelling import answers, draw

ANNOTATION = {"image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]}
CUP = {"cup": {"a.jpg": [(10, 20, 40, 60)]}}
ROW = {"image": "a.jpg", "objects": [{"label": "cup", "box": [10, 20, 40, 60]}]}
ENCODINGS = [
    pytest.param("utf-8-sig"),
    pytest.param("utf-16", marks=pytest.mark.fault("8.s.15")),
    pytest.param("utf-32", marks=pytest.mark.fault("8.s.15")),
]


def encode_again(file: Path, encoding: str) -> None:
    """All these encoders write a byte order mark."""
    file.write_text(file.read_text(), encoding=encoding)
    assert file.read_bytes()[:2] in (codecs.BOM_UTF8[:2], codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\0\0")


@pytest.mark.fault("8.3.1")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_coco_with_a_byte_order_mark_is_read(tmp_path: Path, encoding: str) -> None:
    draw(tmp_path, "a.jpg")
    encode_again(labelling.coco(tmp_path, ANNOTATION), encoding)
    assert answers(coco.read(tmp_path)) == CUP


@pytest.mark.fault("8.3.2")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_lines_with_a_byte_order_mark_are_read(tmp_path: Path, encoding: str) -> None:
    draw(tmp_path, "a.jpg")
    labelling.lines(tmp_path / "labels.jsonl", ROW)
    encode_again(tmp_path / "labels.jsonl", encoding)
    assert answers(lines.read(tmp_path)) == CUP


@pytest.mark.fault("8.s.16")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_sorec_and_sorce_1k_with_a_byte_order_mark_are_read(tmp_path: Path, encoding: str) -> None:
    draw(tmp_path, "full_res/a.jpg")
    (tmp_path / "val.json").write_text(json.dumps([{"image": "a.jpg", "bbox": [10, 20, 30, 40], "ref": "cup"}]))
    labelling.lines(tmp_path / "dataset.jsonl", {"image": "a.jpg", "caption": "cup", "bbox": [[10, 20, 30, 40]]})
    for name, read in (("val.json", sorec.read), ("dataset.jsonl", sorce1k.read)):
        encode_again(tmp_path / name, encoding)
        assert answers(read(tmp_path)) == {"cup": {"full_res/a.jpg": [(10, 20, 40, 60)]}}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "names",
    [
        pytest.param("classes.txt", marks=pytest.mark.fault("8.3.4")),
        pytest.param("data.yaml", marks=pytest.mark.fault("8.s.17")),
    ],
)
@pytest.mark.fault("8.3.3")
def test_yolo_with_byte_order_marks_is_read(tmp_path: Path, encoding: str, names: str) -> None:
    draw(tmp_path, "a.jpg")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "gone.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / names).write_text("cup\nkite\n" if names == "classes.txt" else "names: [cup, kite]\n")
    for name in ("a.txt", "gone.txt", names):
        encode_again(tmp_path / name, encoding)
    truth = yolo.read(tmp_path)
    assert answers(truth) == {"cup": {"a.jpg": [(0, 0, 100, 80)]}}
    # The label file without a picture is recognised as one, too.
    assert f"{yolo.STRAY}: 1 (first: gone.txt)." in truth.remarks


@pytest.mark.fault("8.s.18")
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_byte_order_mark_is_one_sentence(tmp_path: Path, encoding: str) -> None:
    draw(tmp_path, "a.jpg")
    labelling.lines(tmp_path / "labels.jsonl", ROW)
    (tmp_path / "labels.jsonl").write_text(json.dumps(ROW), encoding=encoding)
    with pytest.raises(
        GroundTruthError, match=r"labels.jsonl' holds zero bytes, as UTF-16 without .* save it as UTF-8"
    ):
        lines.read(tmp_path)


def test_utf_16_that_is_cut_short_is_one_sentence(tmp_path: Path) -> None:
    draw(tmp_path, "a.jpg")
    (tmp_path / "labels.jsonl").write_bytes(json.dumps(ROW).encode("utf-16")[:-1])
    with pytest.raises(GroundTruthError, match="is not the UTF-16 that its first bytes announce; save it as UTF-8"):
        lines.read(tmp_path)


@pytest.mark.fault("8.s.19")
def test_bytes_that_are_not_utf_8_cost_their_own_row(tmp_path: Path) -> None:
    draw(tmp_path, "a.jpg", "b.jpg")
    bad = {"image": "b.jpg", "objects": [{"label": "Tür", "box": [1, 2, 3, 4]}]}
    text = json.dumps(ROW) + "\n" + json.dumps(bad, ensure_ascii=False) + "\n"
    (tmp_path / "labels.jsonl").write_text(text, encoding="latin-1")
    truth = lines.read(tmp_path)
    assert answers(truth) == CUP
    assert truth.remarks == (
        "objects whose 'label' is not valid UTF-8, left out: 1 (first: labels.jsonl, line 2, object 1).",
    )


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n \n"])
def test_any_line_end_and_empty_lines_are_read(tmp_path: Path, end: str) -> None:
    draw(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    rows = (json.dumps({**ROW, "image": f"{name}.jpg"}) for name in "abc")
    (tmp_path / "labels.jsonl").write_bytes(end.join([*rows, ""]).encode())
    assert sorted(answers(lines.read(tmp_path))["cup"]) == ["a.jpg", "b.jpg", "c.jpg"]
    (tmp_path / "classes.txt").write_bytes("\r\n".join(["cup", "", "kite"]).encode())
    (tmp_path / "a.txt").write_bytes(f"2 0.5 0.5 1 1{end}0 0.5 0.5 1 1".encode())
    assert list(answers(yolo.read(tmp_path))) == ["cup", "kite"]


@pytest.mark.fault("8.s.21")
@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0b"])
def test_a_line_ends_only_at_a_line_end(tmp_path: Path, separator: str) -> None:
    draw(tmp_path, "a.jpg")
    label = f"red{separator}cup"
    row = {"image": "a.jpg", "objects": [{"label": label, "box": [10, 20, 40, 60]}]}
    (tmp_path / "labels.jsonl").write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert answers(lines.read(tmp_path)) == {label: CUP["cup"]}


@pytest.mark.fault("8.s.22")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"images": [],\n "categories": [1, 2,]}', r"a comma before a closing bracket \(line 2, column \d+\)\."),
        ('{"images": [],\n}', r"a comma before a closing bracket \(line \d, column \d+\)\."),
        ("", r"is empty; name another label file with --ground-truth FILE\."),
        (" \n", r"is empty; name another label file with --ground-truth FILE\."),
        ('{"images": []}\n{"images": []}', r"is not valid JSON: Extra data \(line 2, column 1\)\."),
        ("[" * 100_000, r"cannot be read as JSON: it is nested too deeply\."),
        ("9" * 5000, r"cannot be read as JSON: Exceeds the limit"),
        ("[]", r"has no list 'categories'; name another label file with --ground-truth FILE\."),
        ('{"categories": {}, "images": [], "annotations": []}', r"has no list 'categories'"),
        ('{"categories": [], "images": []}', r"has no list 'annotations'"),
    ],
)
def test_json_that_is_none_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    draw(tmp_path, "a.jpg")
    (tmp_path / "instances.json").write_text(content)
    with pytest.raises(GroundTruthError, match=sentence):
        coco.read(tmp_path)


@pytest.mark.fault("8.s.23")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("names: [cup", r"is not valid YAML: .* \(line 1, column 12\)\."),
        ("names: {[a]: cup}", r"is not valid YAML: found unhashable key"),
        (
            "names:\n\t- cup",
            r"is not valid YAML: found character '\\t' that cannot start any token \(line 2, column 1\)\.",
        ),
        ("names: [cup, \x01]", r"is not valid YAML: it holds a character that YAML forbids\."),
        ("[" * 20_000, r"cannot be read as YAML: it is nested too deeply\."),
        ("cup", r"has no 'names', a list or a mapping"),
        ("", r"has no 'names', a list or a mapping"),
        ("names: cup", r"has no 'names', a list or a mapping"),
    ],
)
def test_yaml_that_is_none_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    draw(tmp_path, "a.jpg")
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(GroundTruthError, match=sentence) as error:
        yolo.read(tmp_path)
    assert "\n" not in str(error.value)


NFC, NFD = unicodedata.normalize("NFC", "Müller.jpg"), unicodedata.normalize("NFD", "Müller.jpg")


@pytest.mark.fault("8.s.24")
@pytest.mark.parametrize(("on_disk", "written"), [(NFC, NFD), (NFD, NFC), (NFC, NFC), (NFD, NFD)])
@pytest.mark.parametrize("folder", ["", "Übung/"])
def test_a_picture_is_found_in_either_unicode_form(tmp_path: Path, on_disk: str, written: str, folder: str) -> None:
    draw(tmp_path, f"{folder}{on_disk}")
    images = [{"id": 1, "file_name": unicodedata.normalize("NFD", folder) + written}]
    labelling.coco(tmp_path, ANNOTATION, images=images)
    assert answers(coco.read(tmp_path)) == {"cup": {f"{folder}{on_disk}": [(10, 20, 40, 60)]}}


@pytest.mark.fault("8.s.25")
def test_a_yolo_label_file_is_found_in_either_unicode_form(tmp_path: Path) -> None:
    draw(tmp_path, f"images/{NFC}")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / Path(NFD).with_suffix(".txt").name).write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "classes.txt").write_text("cup\n")
    truth = yolo.read(tmp_path)
    assert (answers(truth), truth.remarks) == ({"cup": {f"images/{NFC}": [(0, 0, 100, 80)]}}, ())


@pytest.mark.fault("8.s.26")
@pytest.mark.parametrize("written", ["images\\a.jpg", "C:\\data\\images\\a.jpg", ".\\a.jpg"])
def test_a_picture_is_found_by_a_name_with_backslashes(tmp_path: Path, written: str) -> None:
    draw(tmp_path, "images/a.jpg", "images/b.jpg")
    labelling.coco(tmp_path, ANNOTATION, images=[{"id": 1, "file_name": written}])
    assert answers(coco.read(tmp_path)) == {"cup": {"images/a.jpg": [(10, 20, 40, 60)]}}


def test_a_name_is_first_tried_as_written(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.jpg", "images\\a.jpg")
    labelling.coco(tmp_path, ANNOTATION, images=[{"id": 1, "file_name": "images\\a.jpg"}])
    assert answers(coco.read(tmp_path)) == {"cup": {"images\\a.jpg": [(10, 20, 40, 60)]}}


@pytest.mark.parametrize("name", ["..", "/", "a\0.jpg", "\ud800.jpg", "a" * 5000])
def test_a_name_that_no_picture_can_have_is_missing(tmp_path: Path, name: str) -> None:
    draw(tmp_path, "a.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": name}]
    labelling.coco(tmp_path, ANNOTATION, images=images)
    assert answers(coco.read(tmp_path)) == CUP


@pytest.mark.fault("8.s.27")
def test_remarks_show_control_characters_escaped_and_cut_long_names() -> None:
    remarks = Remarks()
    remarks.add("one", "a\x1b[31m\n\ud800é")
    remarks.add("two", "a" * 500)
    one, two = remarks.sentences()
    assert one == "one: 1 (first: a\\x1b[31m\\n\\ud800é)."
    assert two == f"two: 1 (first: {'a' * 300}...)."
