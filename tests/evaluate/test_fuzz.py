"""Whatever a label file contains, the result is figures or one sentence, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorce.errors import GroundTruthError
from sorce.evaluate import protocols
from sorce.evaluate.ground_truth import GroundTruth
from sorce.evaluate.readers import coco, lines, sorce1k, sorec, yolo
from sorce.evaluate.retrievers import EncodedTexts, ExactRetriever, ScoredPhoto
from sorce.mappings import Box, Match
from tests.evaluate.labelling import answers, draw
from tests.kit.fake import FakeModel

GOOD = "full_res/good.jpg"

# Numbers that are hard to convert, texts with a meaning for a reader, and any other values.
NUMBERS = st.one_of(st.integers(-2, 120), st.floats(), st.just(10**400), st.integers())
TEXTS = st.one_of(st.sampled_from(["a.jpg", "b.jpg", "sub\\c.jpg", "cup", "kite", "", "\ud800", "\x1b[2J"]), st.text())
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
BOXES = st.one_of(st.lists(st.integers(-5, 60), min_size=4, max_size=4), st.lists(NUMBERS, max_size=5), VALUES)
IDS = st.one_of(st.integers(0, 3), VALUES)


def rows(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of these fields, each of which may hold anything; or no objects at all."""
    loose = {name: st.one_of(strategy, VALUES) for name, strategy in fields.items()}
    return st.one_of(st.fixed_dictionaries(fields), st.fixed_dictionaries({}, optional=loose), VALUES)


IMAGES = rows(id=IDS, file_name=TEXTS, coco_url=TEXTS, width=NUMBERS, height=NUMBERS)
ANNOTATIONS = rows(image_id=IDS, category_id=IDS, bbox=BOXES, iscrowd=st.integers(0, 1))
COCO = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {
            "images": st.one_of(st.lists(IMAGES, max_size=5), VALUES),
            "categories": st.one_of(st.lists(rows(id=IDS, name=TEXTS), max_size=4), VALUES),
            "annotations": st.one_of(st.lists(ANNOTATIONS, max_size=6), VALUES),
        }
    ),
)
LINE = rows(image=TEXTS, width=NUMBERS, height=NUMBERS, objects=st.lists(rows(label=TEXTS, box=BOXES), max_size=3))
CAPTION = rows(image=TEXTS, caption=TEXTS, bbox=st.one_of(st.lists(BOXES, max_size=3), BOXES))
EXPRESSION = rows(image=TEXTS, ref=TEXTS, bbox=BOXES)
WORDS = st.one_of(st.integers(-1, 3).map(str), st.floats().map(str), st.text(max_size=3))
LABEL_FILE = st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=5).map("\n".join)
SHAPES = st.one_of(st.lists(st.integers(0, 3), max_size=3), VALUES)
CLASSES = st.one_of(
    VALUES,
    st.fixed_dictionaries({"names": st.one_of(st.lists(TEXTS, max_size=3), VALUES)}, optional={"kpt_shape": SHAPES}),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("fuzz")
    draw(top, "full_res/a.jpg", "full_res/b.jpg", "full_res/sub/c.jpg", GOOD)
    (top / "full_res/broken.jpg").write_bytes(b"no picture")
    return top


def ends_well(read: Callable[[], GroundTruth], protocol: protocols.Protocol, with_good: bool = False) -> None:
    """In figures that are shares, or in one line; the good row that was written beside the others must count."""
    try:
        truth = read()
    except GroundTruthError as error:
        sentence = str(error)
        assert sentence.endswith(".")
        assert sentence.isprintable()
        assert not with_good
        return
    assert all(remark.isprintable() for remark in truth.remarks)
    if with_good:
        assert (0, 0, 50, 50) in answers(truth)["good"][GOOD]
    for figure in protocol(truth, indexed(truth), lambda queries: queries).metrics:
        assert figure.value is None or 0 <= figure.value <= 1


def indexed(truth: GroundTruth) -> ExactRetriever:
    """All pictures that can be opened, each as good as any other."""
    found = [picture for picture in truth.pictures.values() if picture.size is not None]
    texts = [query.text for query in truth.queries]
    best = [partial(Match, 0, Box(0, 0, 50, 50), "whole", 0.3, 1.0)] * len(texts)
    photos = [ScoredPhoto(picture.source, 100, 80, best) for picture in found]
    return ExactRetriever(EncodedTexts(FakeModel(), texts), photos, np.zeros((len(texts), len(photos))))


@given(content=COCO, with_good=st.booleans())
@settings(max_examples=60, deadline=None)
@pytest.mark.fault("8.s.28")
def test_any_coco_file_ends_well_and_its_good_rows_count(folder: Path, content: Any, with_good: bool) -> None:
    is_whole = (
        isinstance(content, dict) and len(content) == 3 and all(isinstance(each, list) for each in content.values())
    )
    if with_good and is_whole:
        content["images"].append({"id": "good", "file_name": GOOD, "width": 100, "height": 80})
        content["categories"].append({"id": "good", "name": "good"})
        content["annotations"].append({"image_id": "good", "category_id": "good", "bbox": [0, 0, 50, 50]})
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    ends_well(lambda: coco.read(folder, file), protocols.classes, with_good and is_whole)


@given(content=st.lists(st.one_of(LINE.map(json.dumps), st.text()), max_size=4), with_good=st.booleans())
@settings(max_examples=60, deadline=None)
@pytest.mark.fault("8.s.28")
def test_any_json_lines_end_well_and_the_good_ones_count(folder: Path, content: list[str], with_good: bool) -> None:
    good = {"image": GOOD, "objects": [{"label": "good", "box": [0, 0, 50, 50]}]}
    file = folder / "labels.jsonl"
    file.write_text("\n".join([*content, *[json.dumps(good)] * with_good]), encoding="utf-8")
    ends_well(lambda: lines.read(folder, file), protocols.classes, with_good)


@given(content=st.lists(st.one_of(CAPTION.map(json.dumps), st.text()), max_size=4), with_good=st.booleans())
@settings(max_examples=60, deadline=None)
@pytest.mark.fault("8.s.28")
def test_any_sorce_1k_file_ends_well_and_its_good_lines_count(
    folder: Path, content: list[str], with_good: bool
) -> None:
    good = {"image": "good.jpg", "caption": "good", "bbox": [[0, 0, 50, 50]]}
    file = folder / "dataset.jsonl"
    file.write_text("\n".join([*content, *[json.dumps(good)] * with_good]), encoding="utf-8")
    ends_well(lambda: sorce1k.read(folder, file), protocols.sorce_1k, with_good)


@given(content=st.one_of(VALUES, st.lists(EXPRESSION, max_size=4)), with_good=st.booleans())
@settings(max_examples=60, deadline=None)
@pytest.mark.fault("8.s.28")
def test_any_sorec_file_ends_well_and_its_good_rows_count(folder: Path, content: Any, with_good: bool) -> None:
    is_whole = isinstance(content, list)
    if with_good and is_whole:
        content.append({"image": GOOD, "ref": "good", "bbox": [0, 0, 50, 50]})
    file = folder / "val.json"
    file.write_text(json.dumps(content))
    ends_well(lambda: sorec.read(folder, file), protocols.sorec, with_good and is_whole)


@given(classes=st.one_of(CLASSES.map(json.dumps), st.text()), labels=LABEL_FILE)
@settings(max_examples=60, deadline=None)
@pytest.mark.fault("8.s.28")
def test_any_class_names_of_yolo_end_well(folder: Path, classes: str, labels: str) -> None:
    """JSON is YAML, too."""
    (folder / "data.yaml").write_text(classes, encoding="utf-8")
    (folder / "full_res/a.txt").write_text(labels, encoding="utf-8")
    ends_well(lambda: yolo.read(folder, folder / "data.yaml"), protocols.classes)


@given(labels=LABEL_FILE, with_good=st.booleans(), shape=st.sampled_from(["", "kpt_shape: [1, 2]\n"]))
@settings(max_examples=60, deadline=None)
@pytest.mark.fault("8.s.28")
def test_any_labels_of_yolo_end_well_and_the_good_rows_count(
    folder: Path, labels: str, with_good: bool, shape: str
) -> None:
    (folder / "data.yaml").write_text(f"{shape}names: [cup, kite, good]\n")
    good = "\n2 0.25 0.3125 0.5 0.625\n" if with_good else ""
    (folder / "full_res/good.txt").write_text(labels + good, encoding="utf-8")
    ends_well(lambda: yolo.read(folder, folder / "data.yaml"), protocols.classes, with_good)
    (folder / "full_res/good.txt").unlink()


@given(content=st.binary(max_size=60), mark=st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xff\xfe\0\0"]))
@settings(max_examples=100, deadline=None)
@pytest.mark.fault("8.s.28")
def test_any_bytes_end_well(folder: Path, content: bytes, mark: bytes) -> None:
    file = folder / "any"
    file.write_bytes(mark + content)
    (folder / "full_res/b.txt").write_bytes(mark + content)
    for read in (coco.read, lines.read, sorce1k.read, sorec.read, yolo.read):
        ends_well(partial(read, folder, file), protocols.sorce_1k if read is sorce1k.read else protocols.classes)
    (folder / "full_res/b.txt").unlink()
