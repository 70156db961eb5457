"""A search of a cluster of three nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.engine import Engine, running_nodes
from sorce.mappings.index import index_body
from sorce.plugin import ClientSearch, SearchRequest
from tests.kit.corpus import Corpus, Words
from tests.plugin.query.test_ranking import OBJECTS
from tests.plugin.query.test_search import REQUESTS, check

pytestmark = pytest.mark.long

SHARED = {"number_of_shards": 3, "number_of_replicas": 1}


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Engine]]:
    with running_nodes(3, "384m", quick_start=True) as nodes:
        yield nodes


@pytest.fixture
def client(nodes: list[Engine]) -> Iterator[OpenSearch]:
    with connect([node.url for node in nodes]) as client:
        yield client


def test_over_three_shards_the_hits_are_those_of_numpy(client: OpenSearch) -> None:
    corpus = Corpus()
    assert client.cluster.health()["number_of_nodes"] == 3
    client.indices.create(index="objects", body=index_body(OBJECTS, SHARED))
    corpus.fill(client, "objects", OBJECTS)
    searcher = ClientSearch(client, "objects", lambda _: Words())
    proved = SearchRequest(["a kite"], rank="product", size=5, k=5)
    for asked in (*REQUESTS.values(), proved, SearchRequest(["a kite"], size=3, k=3, ef_search=10)):
        hits = searcher.search(asked)
        check(hits, corpus.expected(asked))
        assert not any(hit.unproved for hit in hits)
