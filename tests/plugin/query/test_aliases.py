"""A search by an alias: its filter and routing apply, and it may point to another index later."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import find_index
from sorce.errors import IndexMissing
from sorce.index import Index
from sorce.mappings import Recipe, Vector
from sorce.mappings.index import index_body
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from tests.kit.corpus import PHOTOS, RECIPE, Corpus, Words, assigned
from tests.kit.fake import FakeModel
from tests.plugin.query.test_ranking import OBJECTS

OTHER = replace(RECIPE, revision="2")
EVERYTHING = SearchRequest(["a kite"], size=PHOTOS)


def encoder(recipe: Recipe) -> Words:
    return Words("" if recipe.revision == "1" else "turned")


@pytest.fixture(scope="module")
def objects(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    name = f"test-alias-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name, OBJECTS)
    yield name
    client.indices.delete(index=name)


@pytest.fixture(scope="module")
def filtered(client: OpenSearch, objects: str) -> str:
    """An alias of the photos without a camera: a quarter."""
    alias = f"{objects}-filtered"
    body = {"filter": {"bool": {"must_not": [{"exists": {"field": "camera"}}]}}}
    client.indices.put_alias(index=objects, name=alias, body=body)
    return alias


@pytest.mark.fault("2.1.1", "2.1.2", "2.s.31")
@pytest.mark.parametrize(
    "given", [{}, {"exact": True}, {"size": 3}, {"size": 3, "k": 3}, {"rank": "product", "size": 5, "k": 5}]
)
def test_the_filter_of_an_alias_holds_and_takes_no_photo_too_many(
    client: OpenSearch, corpus: Corpus, objects: str, filtered: str, given: dict[str, Any]
) -> None:
    request = replace(EVERYTHING, **given)
    everything = ClientSearch(client, objects, encoder).search(replace(request, size=PHOTOS, k=None, exact=True))
    wanted = [hit.photo_id for hit in everything if corpus.photos[int(hit.photo_id, 16)].camera is None]
    found = ClientSearch(client, filtered, encoder).search(request)
    assert [hit.photo_id for hit in found] == wanted[: request.size]
    assert not any(hit.unproved for hit in found)


@pytest.mark.fault("2.1.3")
def test_the_filter_of_an_alias_holds_for_a_program(client: OpenSearch, filtered: str) -> None:
    assert len(Index(client, filtered, FakeModel, encoder).search(EVERYTHING)) == len(range(0, PHOTOS, 4))


@pytest.mark.fault("2.s.32")
def test_the_routing_of_an_alias_holds(client: OpenSearch, corpus: Corpus) -> None:
    index = f"test-alias-{uuid.uuid4().hex[:8]}"
    client.indices.create(
        index=index, body=index_body(RECIPE, {"index.number_of_replicas": 0, "index.number_of_shards": 2})
    )
    try:
        corpus.fill(client, index, RECIPE)
        client.indices.put_alias(index=index, name=f"{index}-routed", body={"search_routing": "0"})
        there = client.search(index=index, params={"routing": "0"}, body={"size": PHOTOS, "_source": False})
        found = ClientSearch(client, f"{index}-routed", encoder).search(EVERYTHING)
        assert {hit.photo_id for hit in found} == {hit["_id"] for hit in there["hits"]["hits"]}
        assert 0 < len(found) < PHOTOS
    finally:
        client.indices.delete(index=index)


def test_a_shard_that_an_alias_leaves_out_is_not_searched(client: OpenSearch, corpus: Corpus) -> None:
    index = f"test-alias-{uuid.uuid4().hex[:8]}"
    corpus.load_half(client, index)
    try:
        there = next(str(each) for each in range(20) if assigned(client, index, str(each)))
        client.indices.put_alias(index=index, name=f"{index}-routed", body={"search_routing": there})
        # The other shard is missing, but it is not searched.
        assert len(ClientSearch(client, f"{index}-routed", encoder).search(EVERYTHING)) == PHOTOS
    finally:
        client.indices.delete(index=index)


class Counted:
    """Lists the paths that a client asks for."""

    def __init__(self, client: OpenSearch, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        perform = client.transport.perform_request

        def counted(method: str, url: str, *args: Any, **more: Any) -> Any:
            self.paths.append(url)
            return perform(method, url, *args, **more)

        monkeypatch.setattr(client.transport, "perform_request", counted)


@pytest.mark.fault("2.s.33")
def test_a_search_asks_once_and_no_hit_costs_one_look_up_and_one_reason(
    client: OpenSearch, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ClientSearch(client, find_index(client, index), encoder)
    counted = Counted(client, monkeypatch)
    assert search.search(SearchRequest(["a kite"]))
    assert counted.paths == [f"/{index}/_search"]
    counted.paths.clear()
    assert not search.search(SearchRequest(["a kite"], min_similarity=0.999))
    assert counted.paths == [f"/{index}/_search", f"/{index}", f"/{index}/_search"]


def test_a_search_by_the_cluster_asks_once_also_to_fold(
    client: OpenSearch, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ServerSearch(client, find_index(client, installed))
    counted = Counted(client, monkeypatch)
    assert search.search(SearchRequest(["a kite"], fold=0.97))
    assert counted.paths == [f"/{installed}/_search/template"]


@pytest.mark.fault("2.s.34")
def test_an_alias_that_moved_is_followed_and_its_own_model_encodes(
    client: OpenSearch, corpus: Corpus, index: str
) -> None:
    other, alias = f"{index}-other", f"{index}-moving"
    corpus.load(client, other, OTHER)
    try:
        client.indices.put_alias(index=index, name=alias)
        search = ClientSearch(client, alias, encoder)
        before = search.search(EVERYTHING)
        moves = [{"remove": {"index": index, "alias": alias}}, {"add": {"index": other, "alias": alias}}]
        client.indices.update_aliases(body={"actions": moves})
        after = search.search(EVERYTHING)
        assert list(after) == list(ClientSearch(client, other, encoder).search(EVERYTHING))
        assert list(after) != list(before)
        client.indices.delete_alias(index=other, name=alias)
        with pytest.raises(IndexMissing, match="there is no index"):
            search.search(EVERYTHING)
    finally:
        client.indices.delete(index=other)


@pytest.mark.parametrize("compares", [False, True])
def test_a_search_keeps_to_one_index_though_another_thread_notices_meanwhile_that_the_alias_moved(
    client: OpenSearch, corpus: Corpus, index: str, compares: bool
) -> None:
    other, alias = f"{index}-other", f"{index}-moving"
    corpus.load(client, other, OTHER)
    try:
        client.indices.put_alias(index=index, name=alias)
        moves = [{"remove": {"index": index, "alias": alias}}, {"add": {"index": other, "alias": alias}}]

        class Interrupted(Words):
            def embed_texts(self, texts: Sequence[str]) -> Vector:
                if moves:
                    client.indices.update_aliases(body={"actions": [moves.pop(0), moves.pop(0)]})
                    # What the other thread's search does when it notices.
                    search.found = find_index(client, alias)
                return super().embed_texts(texts)

        search = ClientSearch(client, alias, lambda recipe: Interrupted() if recipe == RECIPE else encoder(recipe))
        right = ClientSearch(client, other, encoder).search(EVERYTHING)
        if compares:
            assert list(search.compare(EVERYTHING, [right[0].photo_id])) == [right[0]]
        else:
            assert list(search.search(EVERYTHING)) == list(right)
    finally:
        client.indices.delete(index=other)


@pytest.mark.fault("2.s.35")
def test_an_index_that_was_made_again_with_another_recipe_is_noticed(client: OpenSearch, corpus: Corpus) -> None:
    name = f"test-alias-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name)
    try:
        search = ClientSearch(client, name, encoder)
        search.search(EVERYTHING)
        client.indices.delete(index=name)
        corpus.load(client, name, OTHER)
        assert list(search.search(EVERYTHING)) == list(ClientSearch(client, name, encoder).search(EVERYTHING))
    finally:
        client.indices.delete(index=name)
