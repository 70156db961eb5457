"""Rendered scenes with COCO labels: `sorce train piza` and `sorce evaluate locate` read them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sorce.evaluate.readers import coco
from sorce.locate.piza.training.annotations import read_expressions
from sorce.mappings import Box
from training.coco import LEAST_VISIBLE, write_labels
from training.scenes.bundled import FOLDER


def test_both_readers_find_the_boxes_of_the_scenes(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "labels.jsonl", tmp_path)
    said = [json.loads(line) for line in (FOLDER / "labels.jsonl").read_text().splitlines()][:2]
    for scene in said:
        shutil.copy(FOLDER / scene["image"], tmp_path)
    file = write_labels(tmp_path)
    expressions = read_expressions(file, tmp_path)
    found = {(each.photo.name, each.text, each.box) for each in expressions}
    # Also what is hidden: nobody may learn that it is absent.
    shown = {scene["image"]: {thing["label"] for thing in scene["objects"]} for scene in said}
    assert all(each.shown == shown[each.photo.name] for each in expressions)
    assert any(thing["visible"] < LEAST_VISIBLE for scene in said for thing in scene["objects"])
    right, crowds = set(), set()
    for scene in said:
        names = [thing["label"] for thing in scene["objects"]]
        right |= {
            (scene["image"], thing["label"], Box(*thing["box"]))
            for thing in scene["objects"]
            if names.count(thing["label"]) == 1 and thing["visible"] >= LEAST_VISIBLE
        }
        hidden = {thing["label"] for thing in scene["objects"] if thing["visible"] < LEAST_VISIBLE}
        crowds |= {(scene["image"], label) for label in hidden}
    assert len(right) > 10
    assert found == right
    truth = coco.read(tmp_path, file)
    assert len(truth.pictures) == 2
    assert {text for _, text, _ in right} <= {query.text for query in truth.queries}
    boxed = {
        (truth.pictures[photo_id].name, query.text)
        for query in truth.queries
        for photo_id, boxes in query.answers.items()
        if boxes
    }
    assert crowds
    assert not boxed & crowds
