"""Bundled scenes in three indices, encoded by `mini` and served as a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from opensearchpy import OpenSearch
from PIL import Image

from sorce.cluster import find_index
from sorce.mappings import Box, Photo, Recipe, Region, Vector
from sorce.mappings.document import document
from sorce.mappings.index import attribute_types, index_body
from sorce.models import load_model
from sorce.models.querybank import Querybank, banked
from sorce.pictures.files import Naming
from sorce.pictures.loading import open_picture
from sorce.pictures.source import Source, photo_id_of
from sorce.plugin.service import app as service
from sorce.plugin.service.page.serving import PageSetup
from sorce.plugin.service.page.settings import PageSettings
from tests.kit.localiser import FakeLocaliser
from tests.kit.serving import serving
from training.scenes.bundled import FOLDER

SCENES = ("0000.jpg", "0004.jpg", "0010.jpg", "0011.jpg", "0034.jpg", "0037.jpg")
AGAIN, HUGE, HEBREW = "again.jpg", "huge.jpg", "תמונה.jpg"
ENLARGED = 3
MANY = 1100
WHEN = datetime(2026, 7, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Gallery:
    """`scenes` has the six scenes in two folders, one of them again, one enlarged, and one with a Hebrew name.

    `many` is for long lists. In `rated` the six scenes' boxes have qualities, as a detector's have.
    """

    scenes: str
    many: str
    rated: str
    root: Path

    def photo(self, name: str) -> str:
        """The id of a photo by its path below the root."""
        return photo_id_of((self.root / name).as_uri())


class GalleryModel:
    """`mini` with few tiles; each scene is encoded once."""

    def __init__(self) -> None:
        self.encoder = load_model("mini", "tiles", {"max_regions": 24})
        self.recipe, self._bank = banked(self.encoder.recipe), Querybank(self.encoder)

    def regions(self, files: Sequence[Path]) -> list[list[Region]]:
        encoded = self.encoder.embed_photos([open_picture(file) for file in files])
        return [self._bank.measured(regions) for regions in encoded]


def fill_gallery(client: OpenSearch, model: GalleryModel, name: str, above: Path) -> Gallery:
    """Makes both indices, and the root below `above`."""
    gallery = Gallery(f"{name}-scenes", f"{name}-many", f"{name}-rated", above / "root")
    for folder in ("street", "shelf"):
        (gallery.root / folder).mkdir(parents=True)
    files = [gallery.root / ("street" if n < 3 else "shelf") / scene for n, scene in enumerate(SCENES)]
    for scene, file in zip(SCENES, files, strict=True):
        shutil.copy(FOLDER / scene, file)
    found = dict(zip(files, model.regions(files), strict=True))
    again, huge, hebrew = (gallery.root / "shelf" / each for each in (AGAIN, HUGE, HEBREW))
    shutil.copy(files[0], again)
    shutil.copy(files[1], hebrew)
    with Image.open(files[2]) as scene:
        scene.resize((scene.width * ENLARGED, scene.height * ENLARGED)).save(huge, quality=70)
    found[again] = found[files[0]]
    # Not near-duplicates of their originals: each vector is turned a little.
    found[hebrew] = turned(found[files[1]], 1)
    found[huge] = [replace(region, box=larger(region.box)) for region in turned(found[files[2]], 2)]
    scenes = [_document(model.recipe, file, regions, n) for n, (file, regions) in enumerate(found.items())]
    _load(client, gallery.scenes, model.recipe, scenes)
    _load(client, gallery.many, model.recipe, list(_clones(model, files, found)))
    detector = replace(model.recipe, regions="objects")
    rated = [_document(detector, file, of_quality(found[file], n), n) for n, file in enumerate(files)]
    _load(client, gallery.rated, detector, rated)
    return gallery


def turned(regions: Sequence[Region], seed: int) -> list[Region]:
    """The same boxes with other vectors near theirs."""
    rng = np.random.default_rng(seed)
    return [replace(region, vec=_unit(region.vec + rng.normal(0, 0.04, region.vec.shape))) for region in regions]


def of_quality(regions: Sequence[Region], number: int) -> list[Region]:
    """The same boxes with qualities that differ from photo to photo."""
    return [replace(region, quality=(1 + number) / 8) for region in regions]


def larger(box: Box) -> Box:
    return Box(*(side * ENLARGED for side in box.as_tuple()))


def _unit(vector: Vector) -> Vector:
    unit: Vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def _clones(model: GalleryModel, files: Sequence[Path], found: dict[Path, list[Region]]) -> Iterator[dict[str, Any]]:
    """Documents of MANY photos, which show the scenes' files."""
    for n in range(MANY):
        file = files[n % len(files)]
        body = _document(model.recipe, file, turned(found[file][:3], n), n)
        yield {**body, "photo_id": f"{n:032x}", "file_name": f"{n}.jpg"}


def _document(recipe: Recipe, file: Path, regions: Sequence[Region], number: int) -> dict[str, Any]:
    with Image.open(file) as opened:
        size = opened.size
    source = Naming().source(file)
    assert isinstance(source, Source)
    attributes = {"shop": "north" if number % 2 else "south", "aisle": number % 7}
    taken = datetime(2026, 1 + number % 6, 15, 12, tzinfo=UTC)
    photo = Photo(source.file(file.read_bytes()), *size, taken, "Canon EOS", attributes, ("drawn",), (48.5, 2.25))
    return document(photo, regions, WHEN, recipe.hash)


def _load(client: OpenSearch, index: str, recipe: Recipe, documents: Sequence[dict[str, Any]]) -> None:
    attributes = attribute_types({"shop": "", "aisle": 0})
    body = index_body(recipe, {"number_of_replicas": 0}, attributes=attributes)
    client.indices.create(index=index, body=body)
    lines = [each for body in documents for each in ({"index": {"_id": body["photo_id"]}}, body)]
    packed = b"".join(orjson.dumps(line, None, orjson.OPT_SERIALIZE_NUMPY) + b"\n" for line in lines)
    answer = client.bulk(body=packed, index=index, params={"refresh": "true"})
    assert not answer["errors"], answer["items"][0]


@contextmanager
def served_gallery(
    client: OpenSearch, gallery: Gallery, model: GalleryModel, settings: PageSettings, key: str | None = None
) -> Iterator[str]:
    """The address of the page over all indices. Photos of `scenes` can be looked at again."""

    def nobody(_: Any) -> OpenSearch:
        raise AssertionError("the cluster is asked as the service's own user")

    found = [find_index(client, name) for name in (gallery.scenes, gallery.many, gallery.rated)]
    setup = PageSetup(settings, client, found, lambda _: model.encoder, nobody, {gallery.scenes: FakeLocaliser()})
    served = service.Served(model.recipe.model, model.encoder, key, page=setup)
    with serving(service.application(served)) as url:
        yield url
