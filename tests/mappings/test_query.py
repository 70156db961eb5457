"""The shape that all searches have, and what it refuses. tests/plugin tests the answers on the engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sorce.mappings.query import Query, Version, default_k, search_body
from sorce.mappings.ranking import PLAIN, Ranking
from sorce.mappings.request import SearchRequest

V36, V219 = Version(3, 6), Version(2, 19)
CLAUSE = {"term": {"regions.kind": "tile"}}


def query(vectors: Sequence[Any], nots: Sequence[Any] = (), clauses: Any = (), ranking: Any = PLAIN, **given) -> Query:
    request = SearchRequest([f"thing {place}" for place in range(len(vectors))], **given)
    return Query(request, vectors, nots, clauses, ranking)


def knn(body: dict) -> dict:
    return body["query"]["bool"]["must"][0]["bool"]["should"][0]["nested"]["query"]["knn"]["regions.vec"]


def test_the_filter_goes_into_both_halves() -> None:
    body = search_body(query(["v"], clauses=[CLAUSE]), V36)
    scored = body["query"]["bool"]["must"][1]["nested"]["query"]["script_score"]["query"]["script_score"]["query"]
    assert scored == {"bool": {"filter": [CLAUSE]}}
    assert knn(body)["filter"] == {"nested": {"path": "regions", "query": {"bool": {"filter": [CLAUSE]}}}}


def test_before_3_1_the_filter_of_knn_is_bare() -> None:
    assert knn(search_body(query(["v"], clauses=[CLAUSE]), V219))["filter"] == {"bool": {"filter": [CLAUSE]}}


def test_without_a_filter_there_is_none() -> None:
    assert "filter" not in knn(search_body(query(["v"]), V36))


def test_exact_asks_no_graph() -> None:
    assert 'regions.vec": {' not in json.dumps(search_body(query(["v"], exact=True), V36))
    assert 'regions.vec": {' in json.dumps(search_body(query(["v"]), V36))


def test_a_photo_is_proposed_by_any_phrase_and_by_no_not() -> None:
    body = search_body(query(["a", "b"], ["c"]), V36)
    proposed = body["query"]["bool"]["must"][0]["bool"]["should"]
    assert [each["nested"]["query"]["knn"]["regions.vec"]["vector"] for each in proposed] == ["a", "b"]


def test_vectors_and_sources_are_never_in_an_answer() -> None:
    body = search_body(query(["v"]), V36)
    assert body["_source"] is False
    assert body["query"]["bool"]["must"][1]["nested"]["inner_hits"]["_source"] is False


@pytest.mark.parametrize(
    ("size", "texts", "k"), [(1, 1, 1), (10, 1, 10), (5000, 1, 5000), (1, 2, 1000), (2000, 3, 2000)]
)
def test_candidates_by_default(size: int, texts: int, k: int) -> None:
    assert default_k(size, texts, by_cosine=True) == k
    vectors = [np.zeros(2, np.float32)] * texts
    assert knn(search_body(query(vectors, size=size), V36))["k"] == k


@pytest.mark.parametrize(("size", "k"), [(10, 100), (5000, 10_000)])
def test_candidates_of_another_ranking(size: int, k: int) -> None:
    vectors = [np.zeros(2, np.float32)]
    assert knn(search_body(query(vectors, size=size, ranking=Ranking(rank="product")), V36))["k"] == k


def test_candidates_as_asked() -> None:
    assert knn(search_body(query(["v"], size=50, k=7), V36))["k"] == 7


@pytest.mark.parametrize(
    ("text", "version"),
    [("2.19.1", V219), ("3.6.0", V36), ("3.10.0-SNAPSHOT", Version(3, 10)), ("10.0", Version(10, 0))],
)
def test_versions_are_read_and_ordered(text: str, version: Version) -> None:
    assert Version.parse(text) == version
    assert Version(2, 19) < Version(3, 1) < Version(3, 10) < Version(10, 0)
