"""Pages of one search, in an index so large that OpenSearch keeps the results of filters that come again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from opensearchpy import OpenSearch

from sorce.plugin import ClientSearch, SearchRequest
from tests.kit.corpus import Corpus, Words

PHOTOS, PAGE = 700, 50
"""OpenSearch keeps results for segments of at least 10,000 documents: photos and regions."""


@pytest.fixture
def large(client: OpenSearch) -> Iterator[str]:
    name = f"test-pages-{uuid.uuid4().hex[:8]}"
    Corpus(PHOTOS, 17).load(client, name)
    client.indices.forcemerge(index=name, params={"max_num_segments": "1"})
    client.indices.refresh(index=name)
    yield name
    client.indices.delete(index=name)


def test_every_page_is_full_until_all_photos_were_shown(client: OpenSearch, large: str) -> None:
    searcher = ClientSearch(client, large, lambda _: Words())
    asked = [SearchRequest(["a kite"], size=PAGE, start=start, fold=None) for start in range(0, PHOTOS, PAGE)]
    pages = [searcher.search(request) for request in asked]
    assert [len(page) for page in pages] == [PAGE] * (PHOTOS // PAGE)
    # The graph may overlook a photo, and then shows another one twice.
    assert len({hit.photo_id for page in pages for hit in page}) >= 0.99 * PHOTOS


def test_a_search_that_came_often_has_no_part_in_a_larger_one(client: OpenSearch, large: str) -> None:
    searcher = ClientSearch(client, large, lambda _: Words())
    for _ in range(20):
        assert len(searcher.search(SearchRequest(["a kite"], size=3, fold=None))) == 3
    assert len(searcher.search(SearchRequest(["a kite"], size=200, fold=None))) == 200
