"""Every regions method with a tiny checkpoint: ingest photos, search for a text, get boxes, draw pictures."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import sorce
from sorce.cluster import recipe_of
from sorce.models import METHODS, load_encoder
from sorce.pictures.drawing import save
from sorce.plugin import ClientSearch, SearchRequest
from tests.kit import objembed, owl, tiny

GOLDEN = Path(__file__).parents[1] / "golden"
TEXT = "a small red square"

Make = Callable[[Path], tuple[Path, dict[str, Any]]]
CASES: dict[str, Make] = {
    "whole": lambda folder: (tiny.clip(folder / "clip"), {}),
    "tiles": lambda folder: (tiny.siglip(folder / "siglip"), {"min_object_size": 0.1, "max_regions": 20}),
    "clusters": lambda folder: (tiny.clip(folder / "clip"), {"clusters": 5}),
    "prompts": lambda folder: (GOLDEN / "rep-tiny/qwen2vl", {}),  # noqa: ARG005
    "objects": lambda folder: (
        tiny.clip(folder / "clip"),
        {"detector": str(owl.owlv2(folder / "owl")), "max_regions": 8},
    ),
    "objembed": lambda folder: (
        objembed.objembed(folder / "objembed"),
        {"detector": str(owl.owlv2(folder / "owl")), "max_regions": 8},
    ),
    "objembed as released": lambda folder: (
        objembed.GOLDEN,
        {"detector": str(owl.owlv2(folder / "owl")), "max_regions": 8},
    ),
    "objects by owl": lambda folder: (owl.owlv2(folder / "owl"), {"vectors": "owl", "max_regions": 8}),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, size in enumerate([(320, 200), (160, 240), (64, 64)]):
        photo = Image.effect_noise(size, 60).convert("RGB")
        ImageDraw.Draw(photo).rectangle((10 * number, 10, 10 * number + 30, 40), fill=("red", "green", "blue")[number])
        photo.save(folder / f"{number}.png")
    return folder


@pytest.fixture(params=CASES)
def index(request: pytest.FixtureRequest, opensearch: str, tmp_path: Path) -> Iterator[tuple[sorce.Index, Path]]:
    """An index of that method, and the folder of its model."""
    folder, parameters = CASES[request.param](tmp_path)
    regions = request.param.split()[0]
    made = sorce.open_index(f"test-{uuid.uuid4().hex[:8]}", opensearch, str(folder), regions, **parameters)
    yield made, folder
    made.client.indices.delete(index=made.name, ignore_unavailable=True)


def test_each_method_is_tried() -> None:
    assert {name.split()[0] for name in CASES} == METHODS.keys()


def test_photos_go_in_and_the_best_box_comes_out(index: tuple[sorce.Index, Path], photos: Path, tmp_path: Path) -> None:
    made, folder = index
    assert made.ingest([photos]).new == 3
    # As in another process: with the model's text encoder, opened by the index's recipe.
    encoder = load_encoder(recipe_of(made.client, made.name), "cpu", str(folder))
    hits = ClientSearch(made.client, made.name, lambda recipe: encoder).search(SearchRequest([TEXT], fold=None))  # noqa: ARG005
    assert len(hits) == 3
    [query] = encoder.embed_texts([TEXT])
    for hit in hits:
        regions = made.client.get(index=made.name, id=hit.photo_id)["_source"]["regions"]
        cosines = np.array([region["vec"] for region in regions]) @ query
        assert hit.similarity == pytest.approx(cosines.max(), abs=1e-5)
        assert cosines[hit.best.region_id] == pytest.approx(cosines.max(), abs=1e-5)
        assert 0 <= hit.box.x1 < hit.box.x2 <= hit.width
        assert 0 <= hit.box.y1 < hit.box.y2 <= hit.height
        assert regions[0]["kind"] == "whole"
    for picture in save(hits, tmp_path / "drawn", None, [TEXT]).files:
        Image.open(picture).verify()
    assert made.search(SearchRequest([TEXT], fold=None)) == hits


def test_a_second_ingest_finds_nothing_to_do(index: tuple[sorce.Index, Path], photos: Path) -> None:
    made, _ = index
    made.ingest([photos])
    again = made.ingest([photos])
    assert (again.unchanged, again.regions) == (3, 0)
