"""Fixtures of the dashboards' tests: an index with answers known by numpy, with the plugin installed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from opensearchpy import OpenSearch

from sorce.dashboards.build import view_of
from sorce.dashboards.photos import PhotosView
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.service import app as service
from tests.kit.corpus import RECIPE, Corpus, Words
from tests.kit.serving import serving

Record = Callable[[str, object], None]
"""Records a figure for `make measures ONLY=dashboards`."""


@pytest.fixture(scope="session")
def line(client: OpenSearch) -> str:
    """The number of the cluster's version."""
    return str(client.info()["version"]["number"])


@pytest.fixture(scope="session")
def index(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    """The corpus, with the plugin installed."""
    name = f"test-panels-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name)
    with serving(service.application(service.Served(RECIPE.model, Words()))) as url:
        install(client, name, parse(url, RECIPE.model, None), Words())
        yield name
        uninstall(client, name)
    client.indices.delete(index=name)


@pytest.fixture(scope="session")
def view(client: OpenSearch, index: str) -> PhotosView:
    return view_of(client, index, None, "ingested_at")
