"""ObjEmbed from photos to the index: boxes from a file, and cases that must leave nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import sorce
from sorce.cluster import connect, recipe_of
from sorce.ingest import Watch
from sorce.mappings import Rejected
from tests.kit import objembed

BOXES = np.array([[10, 10, 40, 40], [50, 20, 90, 60]], np.float32)


class Listening(Watch):
    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, str] = {}

    def rejected(self, reject: Rejected) -> None:
        self.said[Path(reject.path).name] = reject.reason


@pytest.fixture
def name(opensearch: str) -> Iterator[str]:
    made = f"test-{uuid.uuid4().hex[:8]}"
    yield made
    connect(opensearch).indices.delete(index=made, ignore_unavailable=True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return objembed.objembed(tmp_path / "model")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in ("good", "outside", "thin", "many"):
        objembed.noise(100, 80).save(folder / f"{photo}.png")
    return folder


def test_a_photo_whose_boxes_cannot_be_taken_is_rejected_and_the_others_are_stored(
    opensearch: str, name: str, model: Path, photos: Path, tmp_path: Path
) -> None:
    boxes = {
        "good.png": BOXES,
        "outside.png": BOXES + 30,
        "thin.png": np.array([[5, 5, 9, 5]]),
        "many.png": np.repeat(BOXES, 60, axis=0),
    }
    file = objembed.write_boxes(tmp_path / "boxes.jsonl", boxes)
    index = sorce.open_index(name, opensearch, str(model), "objembed", detector=file)
    watch = Listening()
    report = index.ingest([photos], watch=watch)
    assert (report.new, report.rejected, report.regions) == (1, 3, 3)
    assert "is not inside its 100 x 80 pixels" in watch.said["outside.png"]
    assert "has no area" in watch.said["thin.png"]
    assert "120 boxes in 'boxes.jsonl', and at most 100 are taken" in watch.said["many.png"]
    assert index.client.count(index=name)["count"] == 1
    [hit] = index.search("a small red square")
    [stored] = index.client.search(index=name)["hits"]["hits"]
    regions = stored["_source"]["regions"]
    assert [region["kind"] for region in regions] == ["whole", "object", "object"]
    assert regions[0]["quality"] == 0
    assert all(0 < region["quality"] < 1 for region in regions[1:])
    assert hit.file_name == "good.png"
    assert recipe_of(index.client, name).matching == {"scale": pytest.approx(np.exp(objembed.SCALE)), "bias": -9}


def test_a_checkpoint_without_a_part_makes_no_index(opensearch: str, name: str, model: Path, photos: Path) -> None:
    weights = load_file(model / "model.safetensors")
    del weights["logit_iou_proj.0.weight"]
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    file = objembed.write_boxes(photos / "boxes.jsonl", {"good.png": BOXES})
    with pytest.raises(sorce.ModelError, match=r"lacks the parameter 'logit_iou_proj.0.weight'"):
        sorce.open_index(name, opensearch, str(model), "objembed", detector=file).ingest([photos])
    assert not connect(opensearch).indices.exists(index=name)
