"""Ingest from Google's and Azure's stores, by emulators of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.errors import BadPhoto, SorceError
from sorce.ingest import ingest_photos
from sorce.ingest.index import TargetIndex
from sorce.pictures.remote import StorePhotos, named_source
from sorce.pictures.source import Source, photo_id_of
from sorce.pictures.stores import PhotoGone, filesystem, look_at_store
from sorce.pictures.uris import content_below, parse_root
from tests.ingest.conftest import CountingModel, stored
from tests.ingest.test_stores import Reads
from tests.kit.emulators import AZURITE, az_server, gs_server

pytestmark = pytest.mark.long

ODD = "sub/ü#1? %20+.png"
NO_AZURE = pytest.mark.skipif(
    AZURITE is None or importlib.util.find_spec("adlfs") is None,
    reason="needs Azurite, of 360 MB, and adlfs: npm install -g azurite; pip install 'sorce[azure]'",
)


@pytest.fixture(params=["gs", pytest.param("az", marks=NO_AZURE)])
def bucket(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of an empty bucket."""
    (tmp_path / "store").mkdir()
    with {"gs": gs_server, "az": az_server}[request.param](tmp_path / "store") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "sorce")
        filesystem.cache_clear()
        filesystem(request.param).mkdir("bucket")
        yield f"{request.param}://bucket"
        filesystem.cache_clear()


@pytest.fixture
def client(opensearch: str) -> Iterator[OpenSearch]:
    """Of one line: the index is not what is tested."""
    with connect(opensearch) as client:
        yield client


def test_photos_come_in_once_and_are_read_again_when_they_change(
    index: TargetIndex, model: CountingModel, bucket: str, folder: Path
) -> None:
    store: Any = filesystem(bucket.partition(":")[0])
    for key, file in (("a.jpg", "a.jpg"), (ODD, "b.png"), ("notes.txt", "b.png"), ("sub2/c.jpg", "c.JPG")):
        store.pipe_file(f"bucket/{key}", (folder / file).read_bytes())
    photos, reads = StorePhotos(bucket), Reads()
    assert photos.count() == (3, 1)
    assert [each.uri for each in StorePhotos(f"{bucket}/sub") if isinstance(each, Source)] == [f"{bucket}/{ODD}"]
    assert ingest_photos(index.client, index.name, model, photos).new == 3
    assert stored(index).keys() == {photo_id_of(f"{bucket}/{key}") for key in ("a.jpg", ODD, "sub2/c.jpg")}
    assert ingest_photos(index.client, index.name, model, reads.all(photos)).unchanged == 3
    # As a list names it: the store is asked later, and says the same.
    named = named_source(f"{bucket}/{ODD}")
    assert isinstance(named, Source)
    assert ingest_photos(index.client, index.name, model, reads.all([named])).unchanged == 1
    assert reads.names == []
    store.pipe_file("bucket/a.jpg", (folder / "b.png").read_bytes())
    assert ingest_photos(index.client, index.name, model, reads.all(photos)).changed == 1
    assert reads.names == [f"{bucket}/a.jpg"]


def test_what_may_be_opened_and_what_is_not_there(bucket: str, folder: Path) -> None:
    store: Any = filesystem(bucket.partition(":")[0])
    store.pipe_file(f"bucket/{ODD}", (folder / "b.png").read_bytes())
    assert content_below(f"{bucket}/{ODD}", [parse_root(f"{bucket}/sub")]) == (folder / "b.png").read_bytes()
    with pytest.raises(BadPhoto, match="below no root"):
        content_below(f"{bucket}/{ODD}", [parse_root(f"{bucket}/other")])
    with pytest.raises(PhotoGone):
        look_at_store(f"{bucket}/gone.jpg")
    with pytest.raises(BadPhoto, match="lies in a bucket that is not there"):
        look_at_store(f"{bucket}2/gone.jpg")
    with pytest.raises(SorceError, match="is not there"):
        list(StorePhotos(f"{bucket}/nothing"))
