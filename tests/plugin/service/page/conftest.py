"""The page over an album in the open engine, without a key and with one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.plugin.service.page.settings import PageSettings
from tests.kit.album import Album, fill, served_page
from tests.kit.localiser import FakeLocaliser

KEY = "right-key"
DASHBOARDS = "https://dashboards.example:5601"


@pytest.fixture(scope="session")
def cluster(opensearch: str) -> Iterator[OpenSearch]:
    with connect(opensearch) as client:
        yield client


@pytest.fixture(scope="session")
def album(cluster: OpenSearch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    index = f"test-page-{uuid.uuid4().hex[:8]}"
    yield fill(cluster, index, tmp_path_factory.mktemp("album"))
    cluster.indices.delete(index=index)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="session")
def page(cluster: OpenSearch, album: Album, cache: Path) -> Iterator[httpx.Client]:
    """Without a key."""
    settings = PageSettings([album.root], allow_origins=[DASHBOARDS], cache=cache)
    with served_page(cluster, album, settings, localisers={album.index: FakeLocaliser()}) as asking:
        yield asking


@pytest.fixture(scope="session")
def locked(cluster: OpenSearch, album: Album, cache: Path) -> Iterator[httpx.Client]:
    """With a key, behind a proxy."""
    settings = PageSettings([album.root], "/photos-app/", [DASHBOARDS], cache=cache)
    with served_page(cluster, album, settings, KEY) as asking:
        yield asking
