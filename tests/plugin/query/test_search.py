"""A search's answer is numpy's answer, whether the client or the server encodes the texts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sorce.errors import IndexMissing, PluginError, QueryError
from sorce.mappings import Hit
from sorce.mappings.filters import Filter
from sorce.mappings.query import Query
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.query.server import params
from tests.kit.corpus import Corpus, Expected, Words

REQUESTS = {
    "one phrase": SearchRequest(["a kite"]),
    "another phrase": SearchRequest(["zebra"], size=3),
    "two phrases": SearchRequest(["a kite", "a dog"]),
    "four phrases": SearchRequest(["a kite", "a dog", "sea", "sky"], size=7),
    "but not": SearchRequest(["a kite"], ["a dog"]),
    "but not two": SearchRequest(["a kite"], ["a dog", "sea"]),
    "phrases and nots": SearchRequest(["a kite", "a dog", "sea"], ["sky", "rain"]),
    "several boxes": SearchRequest(["a kite"], boxes=3),
    "boxes of several phrases": SearchRequest(["a kite", "a dog"], boxes=2),
    "all boxes": SearchRequest(["a kite"], boxes=100, size=2),
    "kind": SearchRequest(["a kite"], filter=Filter(kinds=["whole"])),
    "kinds": SearchRequest(["a kite"], filter=Filter(kinds=["whole", "tile"])),
    "small": SearchRequest(["a kite"], filter=Filter(max_area=0.003)),
    "large": SearchRequest(["a kite"], filter=Filter(min_area=0.004)),
    "quality": SearchRequest(["a kite"], filter=Filter(min_quality=0.8)),
    "folder and below": SearchRequest(["a kite"], filter=Filter(folder="/a")),
    "not in a folder": SearchRequest(["a kite"], filter=Filter(exclude_folder=["/a/b"])),
    "not in two folders": SearchRequest(["a kite"], filter=Filter(folder="/a", exclude_folder=["/a/b/", "/c"])),
    "folder below": SearchRequest(["a kite"], filter=Filter(folder="/a/b/")),
    "camera": SearchRequest(["a kite"], filter=Filter(camera="Canon")),
    "dates": SearchRequest(["a kite"], filter=Filter(since="2026-03-01", until="2026-05-01")),
    "attributes": SearchRequest(["a kite"], filter=Filter(where=["shop=south", "aisle>=3"])),
    "region and photo": SearchRequest(["a kite"], filter=Filter(kinds=["tile"], max_area=0.004, where=["shop=south"])),
    "filter, two phrases, not": SearchRequest(
        ["a kite", "sea"], ["a dog"], filter=Filter(max_area=0.004, folder="/a/b")
    ),
    "min_similarity": SearchRequest(["a kite"], min_similarity=0.6, boxes=5, size=50),
    "min_similarity of nothing": SearchRequest(["a kite"], min_similarity=0),
    "min_similarity for each phrase": SearchRequest(["a kite", "a dog"], min_similarity=0.45, boxes=5),
    "min_similarity too high": SearchRequest(["a kite"], min_similarity=0.999),
    "exact": SearchRequest(["a kite"], exact=True),
    "exact, everything": SearchRequest(
        ["a kite", "sea"], ["a dog"], exact=True, boxes=2, min_similarity=0.1, filter=Filter(kinds=["tile"])
    ),
    "more photos than there are": SearchRequest(["a kite"], size=500),
}


@pytest.fixture(params=REQUESTS.values(), ids=REQUESTS.keys())
def request_(request: pytest.FixtureRequest) -> SearchRequest:
    asked: SearchRequest = request.param
    return asked


def flat(hits: Sequence[Hit]) -> list[float]:
    return [match.similarity for hit in hits for matches in hit.matches for match in matches]


def check(hits: Sequence[Hit], wanted: Expected, relative: float = 0, absolute: float = 1e-5) -> None:
    """`relative` and `absolute` say how far off a score may be."""
    assert [hit.photo_id for hit in hits] == wanted.photo_ids
    assert [hit.score for hit in hits] == pytest.approx(wanted.scores, rel=relative, abs=absolute)
    boxes = [[[(m.region_id, m.box, m.kind) for m in matches] for matches in hit.matches] for hit in hits]
    assert boxes == [[[(m.region_id, m.box, m.kind) for m in ms] for ms in photo] for photo in wanted.matches]
    similarities = [m.similarity for m in chain.from_iterable(chain.from_iterable(wanted.matches))]
    assert flat(hits) == pytest.approx(similarities, abs=1e-5)


def test_client_finds_what_numpy_finds(client: OpenSearch, index: str, corpus: Corpus, request_: SearchRequest) -> None:
    check(ClientSearch(client, index, lambda _: Words()).search(request_), corpus.expected(request_))


def test_server_finds_the_same(client: OpenSearch, installed: str, request_: SearchRequest) -> None:
    here = ClientSearch(client, installed, lambda _: Words()).search(request_)
    assert ServerSearch(client, installed).search(request_) == here


def test_similarity_is_the_cosine_of_the_box_shown_and_that_is_the_best(
    client: OpenSearch, index: str, corpus: Corpus
) -> None:
    words = Words()
    searcher = ClientSearch(client, index, lambda _: words)
    for number in range(60):
        [vector] = words.embed_texts([f"thing {number}"])
        for hit in searcher.search(SearchRequest([f"thing {number}"])):
            cosines = corpus.vectors[int(hit.photo_id, 16)] @ vector
            assert hit.similarity == pytest.approx(cosines[hit.best.region_id], abs=1e-5)
            assert hit.best.region_id == cosines.argmax()
            assert hit.score == pytest.approx(hit.similarity, abs=1e-6)


def test_a_negative_best_similarity_is_still_the_cosine(client: OpenSearch, index: str, corpus: Corpus) -> None:
    request = SearchRequest(["a kite"], size=150, k=150)
    hits = ClientSearch(client, index, lambda _: Words()).search(request)
    all_of_one = SearchRequest(["a kite"], size=5, boxes=100)
    check(hits, corpus.expected(request))
    boxes = ClientSearch(client, index, lambda _: Words()).search(all_of_one)
    assert min(flat(boxes)) < -0.2
    check(boxes, corpus.expected(all_of_one))


def test_texts_of_a_search_are_encoded_in_one_call(client: OpenSearch, index: str) -> None:
    words = Words()
    ClientSearch(client, index, lambda _: words).search(SearchRequest(["a", "b"], ["c"]))
    assert words.calls == [["a", "b", "c"]]


def test_a_missing_index_is_a_sentence(client: OpenSearch) -> None:
    with pytest.raises(IndexMissing, match="there is no index 'nope'"):
        ClientSearch(client, "nope", lambda _: Words())


def test_server_without_plugin_is_a_sentence_and_no_fallback(client: OpenSearch, index: str) -> None:
    alias = f"{index}-bare"
    client.indices.put_alias(index=index, name=alias)
    with pytest.raises(PluginError, match=r"nothing is installed .*`sorce plugin install --index"):
        ServerSearch(client, alias).search(SearchRequest(["a kite"]))


def as_parameters(request: SearchRequest) -> dict[str, Any]:
    return params(Query(request, request.phrases, request.nots))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: SearchRequest([" "]), "is blank"),
        (lambda: SearchRequest(["a"], ["\u3000"]), "is blank"),
        (lambda: SearchRequest(["x" * 2001]), "2001 characters is too long; use at most 2000"),
        (lambda: SearchRequest(["a \udcff"]), "half a character"),
        (lambda: SearchRequest([]), "1 to 4 phrases and examples"),
        (lambda: SearchRequest(["a"] * 5), "1 to 4 phrases and examples"),
        (lambda: SearchRequest(["a"], ["b"] * 3), 'at most 2 "not"'),
        (lambda: as_parameters(SearchRequest(["a ${parameters.model}"])), "search with --client"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(made, said) -> None:
    with pytest.raises(QueryError, match=said):
        made()
