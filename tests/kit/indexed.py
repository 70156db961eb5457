"""Fixtures of all tests that search: photos whose answers numpy knows, in an index of each line of OpenSearch."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from tests.kit.corpus import Corpus
from tests.kit.place import Place


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return Corpus()


@pytest.fixture(scope="session")
def client(place: Place) -> Iterator[OpenSearch]:
    with connect(place.url, place.access) as client:
        yield client


@contextmanager
def indexed(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    """The name of an index of its own with the corpus."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name)
    try:
        yield name
    finally:
        client.indices.delete(index=name)
