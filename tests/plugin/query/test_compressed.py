"""An index whose graph holds a byte per number: the graph proposes by rough scores, and all that is shown is exact."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from opensearchpy import OpenSearch

from sorce.cluster import find_index, version
from sorce.mappings.compression import INT8
from sorce.mappings.example import LikeRegion
from sorce.mappings.query import Query, proposals, to_cosine
from sorce.mappings.regions import by_photo_ids, read_vectors, vectors_body
from sorce.plugin import ClientSearch, SearchRequest
from sorce.plugin.cluster.template import template
from sorce.plugin.query import search as searching
from tests.kit.corpus import Corpus, Words
from tests.plugin.query.test_ranking import OBJECTS
from tests.plugin.query.test_search import REQUESTS, check


@pytest.fixture(scope="module")
def compressed(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name, OBJECTS, INT8)
    yield name
    client.indices.delete(index=name)


@pytest.fixture
def searcher(client: OpenSearch, compressed: str) -> ClientSearch:
    return ClientSearch(client, compressed, lambda _: Words())


def test_it_finds_what_numpy_finds_with_exact_scores(searcher: ClientSearch, corpus: Corpus) -> None:
    for asked in (*REQUESTS.values(), SearchRequest(["a kite"], rank="product"), SearchRequest(["a kite"], debias=1.0)):
        check(searcher.search(asked), corpus.expected(asked))


def test_the_graph_s_own_scores_are_rough_so_it_proposes_ten_times_as_many(
    client: OpenSearch, searcher: ClientSearch, corpus: Corpus
) -> None:
    vector = Words().embed_texts(["a kite"])[0]
    asked = Query(SearchRequest(["a kite"], k=1), [vector])
    [best] = client.search(index=searcher.found.name, body=proposals(vector, asked, version(client)))["hits"]["hits"]
    exact = (corpus.vectors[int(best["_id"], 16)] @ vector).max()
    assert 1e-6 < abs(to_cosine(best["_score"]) - exact) < 0.05
    [clause] = searcher.body(SearchRequest(["a kite"], size=7))["query"]["bool"]["must"][0]["bool"]["should"]
    assert clause["nested"]["query"]["knn"]["regions.vec"]["k"] == 70


def test_the_stored_vectors_are_float32(client: OpenSearch, searcher: ClientSearch, corpus: Corpus) -> None:
    photo = corpus.photos[7].file.photo_id
    found = read_vectors(client.search(index=searcher.found.name, body=vectors_body(by_photo_ids([photo]), 3, 1)))
    assert np.array_equal(np.asarray(found[photo]), corpus.vectors[7, 3])
    asked = SearchRequest(like=[LikeRegion(photo, 3)])
    check(searcher.search(asked), corpus.expected(asked))


def test_rough_scores_prove_no_ranking_by_product(
    searcher: ClientSearch, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = SearchRequest(["a kite"], rank="product")
    assert not any(hit.unproved for hit in searcher.search(asked))
    monkeypatch.setattr(searching, "SCANNED", 0)
    hits = searcher.search(replace(asked, k=150))
    check(hits, corpus.expected(asked))
    assert all(hit.unproved for hit in hits)


def test_the_index_says_that_it_is_compressed(client: OpenSearch, compressed: str) -> None:
    found = find_index(client, compressed)
    assert (found.compression, found.is_compressed) == (INT8, True)


def test_the_stored_template_does_the_same(client: OpenSearch) -> None:
    source = template(version(client), OBJECTS, is_compressed=True)
    body = {"source": source, "params": {"text": "a kite", "size": 7}}
    rendered = client.render_search_template(body=body)["template_output"]
    [clause] = rendered["query"]["template"]["bool"]["must"][0]["bool"]["should"]
    assert int(clause["nested"]["query"]["knn"]["regions.vec"]["k"]) == 70
