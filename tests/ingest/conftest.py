"""Fixtures of the ingest's tests: a model that counts, drawn photos, and an index that is deleted afterwards."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers
from PIL import Image

from sorce.cluster import connect
from sorce.ingest import Files
from sorce.ingest.index import TargetIndex
from sorce.mappings import Picture
from tests.kit.fake import FakeModel, Seen
from tests.kit.place import Place


class CountingModel(FakeModel):
    """Counts the photos that were prepared (in threads) and encoded."""

    def __init__(self, revision: str = "1") -> None:
        super().__init__(revision)
        self.prepared = 0
        self._counting = Lock()

    def prepare(self, picture: Picture) -> Seen:
        with self._counting:
            self.prepared += 1
        return super().prepare(picture)

    @property
    def encoded(self) -> int:
        return len(self.photos)


@pytest.fixture
def model() -> CountingModel:
    return CountingModel()


@pytest.fixture
def other_model() -> CountingModel:
    return CountingModel(revision="2")


@pytest.fixture
def client(place: Place) -> Iterator[OpenSearch]:
    with connect(place.url, place.access) as client:
        yield client


@pytest.fixture
def surroundings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment in which commands find the cluster."""
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)


@pytest.fixture
def index(client: OpenSearch) -> Iterator[TargetIndex]:
    name = f"test-ingest-{uuid.uuid4().hex[:12]}"
    yield TargetIndex(client, name)
    client.indices.delete(index=name, params={"ignore_unavailable": "true"})


Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Draws a photo of one colour below the test's folder, by default `photos/NAME`."""

    def drawn(name: str, colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (40, 30)) -> Path:
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(file)
        return file

    return drawn


@pytest.fixture
def folder(draw: Draw, tmp_path: Path) -> Path:
    """A folder of five photos, two of them below it."""
    for number, name in enumerate(["a.jpg", "b.png", "c.JPG", "below/d.jpg", "below/e.webp"]):
        draw(name, (40 * number, 100, 200 - 40 * number))
    return tmp_path / "photos"


def old(*paths: Path) -> None:
    """Changed long ago: the time of a file changed just now is not stored, so that the next run reads it again."""
    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))


def files(*paths: Path) -> Files:
    return Files([str(path) for path in paths])


Documents = dict[str, dict[str, Any]]


def stored(index: TargetIndex) -> Documents:
    """All documents, whole, by id; without the time when they were written."""
    found = helpers.scan(index.client, index=index.name, query={"query": {"match_all": {}}}, size=500)
    return {hit["_id"]: {**hit["_source"], "ingested_at": None} for hit in found}
