"""A search of several indices behind one alias gives numpy's answer over all of their photos."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from opensearchpy import OpenSearch

from sorce.errors import IndexMissing
from sorce.index import Index
from sorce.mappings.document import document
from sorce.mappings.index import index_body
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.status import status
from tests.kit.corpus import PHOTOS, Corpus, Words
from tests.kit.fake import FakeModel
from tests.plugin.query.test_ranking import OBJECTS
from tests.plugin.query.test_search import REQUESTS, check

PARTS = {"000001": slice(0, 70), "000002": slice(70, 75), "000003": slice(75, PHOTOS)}
"""The photos of each index. The last one has two shards, and is the one for new photos."""


@pytest.fixture(scope="module")
def alias(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    name = f"test-several-{uuid.uuid4().hex[:8]}"
    for number, part in PARTS.items():
        is_last = number == "000003"
        body = index_body(OBJECTS, {"number_of_replicas": 0, "number_of_shards": 2 if is_last else 1})
        client.indices.create(index=f"{name}-{number}", body=body | {"aliases": {name: {"is_write_index": is_last}}})
        corpus.fill(client, f"{name}-{number}", OBJECTS, part=part)
    yield name
    client.indices.delete(index=f"{name}-*")


def search(client: OpenSearch, alias: str) -> ClientSearch:
    return ClientSearch(client, alias, lambda _: Words())


def test_the_hits_are_those_of_numpy_over_all(client: OpenSearch, alias: str, corpus: Corpus) -> None:
    searcher = search(client, alias)
    more = {
        "by product, all compared": SearchRequest(["a kite"], rank="product"),
        "by product, proved": SearchRequest(["a kite"], rank="product", size=5, k=5),
        "by product, two phrases": SearchRequest(["a kite", "sea"], ["sky"], rank="product", size=5, k=5),
        "few candidates of each shard": SearchRequest(["a kite"], size=3, k=3, ef_search=10),
    }
    for asked in (*REQUESTS.values(), *more.values()):
        hits = searcher.search(asked)
        check(hits, corpus.expected(asked))
        assert not any(hit.unproved for hit in hits)


def test_pages_are_parts_of_the_whole(client: OpenSearch, alias: str) -> None:
    photos = Index(client, alias, FakeModel, lambda _: Words())
    whole = list(photos.search("a kite", size=60))
    assert [hit for start in range(0, 60, 20) for hit in photos.search("a kite", start=start, size=20)] == whole
    assert photos.count() == PHOTOS


def test_near_duplicates_are_folded_across_indices(client: OpenSearch, alias: str, corpus: Corpus) -> None:
    searcher, asked = search(client, alias), SearchRequest(["a kite"])
    best = searcher.search(asked)[0]
    photo, regions = corpus.photos[int(best.photo_id, 16)], corpus.regions[int(best.photo_id, 16)]
    body = document(photo, regions, datetime(2026, 7, 1, tzinfo=UTC), OBJECTS.hash) | {"photo_id": "copy"}
    other = next(number for number, part in PARTS.items() if int(best.photo_id, 16) not in range(*part.indices(PHOTOS)))
    place = {"index": f"{alias}-{other}", "id": "copy", "params": {"refresh": "true"}}
    client.index(body=orjson.dumps(body, None, orjson.OPT_SERIALIZE_NUMPY), **place)
    try:
        hits = searcher.search(asked)
        assert {hits[0].photo_id, *(each.photo_id for each in hits[0].duplicates)} == {best.photo_id, "copy"}
    finally:
        client.delete(**place)


def test_the_cluster_encodes_searches_of_all(client: OpenSearch, alias: str, encoder_url: str) -> None:
    endpoint = parse(encoder_url, OBJECTS.model, None)
    install(client, alias, endpoint, Words())
    try:
        for name in ("one phrase", "filter, two phrases, not", "region and photo", "exact, everything"):
            assert ServerSearch(client, alias).search(REQUESTS[name]) == search(client, alias).search(REQUESTS[name])
        assert [step for step in status(client, alias, Words(), None) if not step.works] == []
        # As a rollover leaves it whose index template is older than the installation.
        client.indices.put_settings(index=f"{alias}-000003", body={"index.search.default_pipeline": None})
        [broken] = [step for step in status(client, alias, Words(), None) if not step.works]
        assert str(broken.problem).startswith(f"the default search pipeline of index '{alias}-000003' is not set; run ")
    finally:
        uninstall(client, alias)
    settings = client.indices.get_settings(index=f"{alias}-*", params={"flat_settings": "true"}).values()
    assert not any("index.search.default_pipeline" in each["settings"] for each in settings)


def test_a_search_follows_a_rollover_and_refuses_an_index_of_another_recipe(
    client: OpenSearch, alias: str, corpus: Corpus
) -> None:
    searcher, everything = search(client, alias), SearchRequest(["a kite"], size=200, exact=True, fold=None)
    assert len(searcher.search(everything)) == PHOTOS
    new = f"{alias}-000004"
    try:
        for recipe, there in ((OBJECTS, PHOTOS + 1), (replace(OBJECTS, revision="2"), None)):
            client.indices.create(index=new, body=index_body(recipe) | {"aliases": {alias: {}}})
            corpus.fill(client, new, recipe, part=slice(1))
            if there is None:
                with pytest.raises(IndexMissing, match=f"alias '{alias}' names indices of different recipes"):
                    searcher.search(everything)
            else:
                assert len(searcher.search(everything)) == there
                assert searcher.found.names == [
                    f"{alias}-{number}" for number in ("000003", *list(PARTS)[:2], "000004")
                ]
            client.indices.delete(index=new)
    finally:
        client.indices.delete(index=new, params={"ignore_unavailable": "true"})
