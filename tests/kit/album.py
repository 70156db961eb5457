"""Photos for the tests of the page, among them hostile documents; and the page, served."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
from opensearchpy import OpenSearch
from PIL import Image

from sorce.access import Access
from sorce.cluster import find_index
from sorce.mappings import Localiser, Photo
from sorce.mappings.document import document
from sorce.mappings.index import attribute_types, index_body
from sorce.pictures.files import Naming
from sorce.pictures.loading import open_picture
from sorce.pictures.source import Source, photo_id_of
from sorce.plugin.service import app as service
from sorce.plugin.service.page.serving import PageSetup
from sorce.plugin.service.page.settings import PageSettings
from tests.kit.fake import FakeModel
from tests.kit.localiser import paint
from tests.kit.serving import serving

MODEL = FakeModel()
ATTRIBUTES: dict[str, dict[str, str | int]] = {
    "kitchen": {"shop": "north", "aisle": 3},
    "hall": {"shop": "south", "aisle": 4},
}
SCRIPT = "<img src=x onerror=alert(1)>.png"
HOSTILE = {
    "a" * 32: "file:///etc/hostname",
    "b" * 32: "../secret.png",
    "c" * 32: "http://127.0.0.1:1/0.png",
    "d" * 32: "javascript:alert(1)",
    "e" * 32: "%2e%2e/secret.png",
    "f" * 32: "file://elsewhere/0.png",
}
"""Uris that no document should have, by the ids of the documents that have them."""


@dataclass(frozen=True)
class Album:
    """An index and its root. `kitchen` and `hall` have three photos each; `0-again` is a copy of `0` in the kitchen."""

    index: str
    root: Path

    def file(self, name: str) -> Path:
        return self.root / name

    def photo(self, name: str) -> str:
        """The id of a photo by its path below the root."""
        return photo_id_of(self.file(name).as_uri())


def fill(client: OpenSearch, index: str, above: Path) -> Album:
    """Makes the photos below `above`, and the index. Not by an ingest: that would take several times as long."""
    root = above / "root"
    for folder in ("kitchen", "hall"):
        (root / folder).mkdir(parents=True)
    painted = paint(root, 7)
    for number, file in enumerate(painted[:6]):
        file.rename(root / ("kitchen" if number < 3 else "hall") / file.name)
    painted[6].rename(above / "secret.png")
    (root / "link.png").symlink_to(above / "secret.png")
    (root / "text.png").write_text("no picture")
    shutil.copy(root / "kitchen/0.png", root / "kitchen/0-again.png")
    shutil.copy(root / "hall/3.png", root / SCRIPT)
    _dated(root / "hall/dated.jpg")
    documents = [_document(file) for file in sorted(root.rglob("*.???")) if file.name != "text.png"]
    text = (root / "text.png").as_uri()
    documents += [
        {**documents[0], "photo_id": photo_id, "uri": uri}
        for photo_id, uri in {**HOSTILE, photo_id_of(text): text}.items()
    ]
    attributes = attribute_types(ATTRIBUTES["hall"])
    client.indices.create(index=index, body=index_body(MODEL.recipe, {"number_of_replicas": 0}, attributes=attributes))
    lines = [each for body in documents for each in ({"index": {"_id": body["photo_id"]}}, body)]
    packed = b"".join(orjson.dumps(line, None, orjson.OPT_SERIALIZE_NUMPY) + b"\n" for line in lines)
    answer = client.bulk(body=packed, index=index, params={"refresh": "true"})
    assert not answer["errors"], answer["items"][0]
    return Album(index, root)


def _document(file: Path) -> dict[str, Any]:
    picture, content = open_picture(file), file.read_bytes()
    source = Naming().source(file)
    assert isinstance(source, Source)
    attributes = ATTRIBUTES.get(file.parent.name, {"shop": "south"})
    photo = Photo(source.file(content), *picture.size, picture.taken_at, picture.camera, attributes)
    [regions] = MODEL.embed_photos([picture])
    return document(photo, regions, datetime(2026, 7, 1, tzinfo=UTC), MODEL.recipe.hash)


def _dated(file: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "EOS"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:31 12:00:00"
    Image.new("RGB", (80, 40), "green").save(file, exif=exif)


@contextmanager
def served_page(
    client: OpenSearch,
    album: Album,
    settings: PageSettings,
    key: str | None = None,
    connect: Callable[[Access], OpenSearch] | None = None,
    localisers: Mapping[str, Localiser] | None = None,
    **more: Any,
) -> Iterator[httpx.Client]:
    """A client of the page. `more` goes to `serving`."""

    def nobody(_: Access) -> OpenSearch:
        raise AssertionError("the cluster is asked as the service's own user")

    found = find_index(client, album.index)
    setup = PageSetup(settings, client, [found], lambda _: MODEL, connect or nobody, localisers or {})
    app = service.application(service.Served(MODEL.recipe.model, MODEL, key, page=setup))
    with serving(app, **more) as url, httpx.Client(base_url=url, timeout=30, verify=False) as asking:
        yield asking
