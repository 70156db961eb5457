"""Properties of all searches: the engine accepts them, client and server ask the same, and hits fulfil the filter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opensearchpy import OpenSearch

from sorce.cluster import recipe_of, version
from sorce.mappings.filters import Filter
from sorce.mappings.names import Names
from sorce.mappings.option import Placeholder
from sorce.mappings.query import Query, search_body
from sorce.mappings.ranking import NO_MINIMUM, Ranking, ranking
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.template import NOTS, PHRASES, VECTORS
from sorce.plugin.query.server import FILLED_IN, LOST, params
from tests.kit.corpus import PHOTOS, RECIPE, Corpus, Words
from tests.kit.examples import examples
from tests.mappings.test_values_properties import recipes
from tests.plugin.query.test_ranking import OBJECTS, loaded

# Hundreds of generated searches are asked.
pytestmark = pytest.mark.long

PIECES = [
    '"',
    "\\",
    "{{",
    "}}",
    "{{#and}}",
    "{{text}}",
    "${",
    "}",
    "$",
    "[",
    "]",
    "{",
    ",",
    ":",
    "\n",
    "\x00",
    "\u202e",
]

whole_characters = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
texts = (
    (whole_characters | st.lists(st.sampled_from([*PIECES, "a kite"]), min_size=1).map("".join))
    # test_hostile tests the texts that the server refuses.
    .filter(lambda text: bool(text.strip()) and FILLED_IN not in text and LOST not in text)
    .map(lambda text: text[:2000])
)
values = texts.filter(lambda text: "${" not in text)
shares = st.none() | st.floats(0, 1)
days = st.none() | st.dates().map(lambda day: day.isoformat())


def ordered(least: str, most: str, **given: Any) -> Filter:
    """Bounds that are the wrong way round are refused: that is tested in tests/mappings."""
    low, high = given[least], given[most]
    if low is not None and high is not None and low > high:
        given |= {least: high, most: low}
    return Filter(**given)


def conditions(**given: Any) -> Filter:
    since, until = given["since"], given["until"]
    if since is not None and until is not None and since > until:
        given |= {"since": until, "until": since}
    return ordered("min_area", "max_area", **given)


filters = st.builds(
    conditions,
    kinds=st.lists(st.sampled_from(["whole", "tile", "object"]), max_size=3),
    min_area=shares,
    max_area=shares,
    min_quality=shares,
    folder=st.none() | st.sampled_from(["/a", "/a/b", "/a/", ""]) | values,
    camera=st.none() | st.just("Canon") | values,
    since=days,
    until=days,
    where=st.lists(
        st.sampled_from(["shop=south", "aisle>=3"])
        | st.integers(-(2**31), 2**31).map(lambda n: f"aisle>={n}")
        | values.map(lambda value: f"shop={value}"),
        max_size=2,
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> SearchRequest:
    request = SearchRequest(
        phrases=draw(st.lists(texts, min_size=1, max_size=4)),
        nots=draw(st.lists(texts, max_size=2)),
        size=draw(st.integers(1, 200)),
        boxes=draw(st.integers(1, 100)),
        filter=draw(st.just(Filter()) | filters),
        min_similarity=draw(st.none() | st.floats(-1, 1)),
        k=draw(st.none() | st.integers(1, 10_000)),
        ef_search=draw(st.integers(1, 2000)),
        exact=draw(st.booleans()),
        fold=draw(st.sampled_from([None, 0.97])),
    )
    rank, debias = draw(st.sampled_from([("similarity", 0.0), ("product", 0.0), ("similarity", 0.5)]))
    # For products, the client would raise the candidates, which the cluster cannot do.
    return replace(request, rank=rank, debias=debias, k=PHOTOS if rank == "product" else request.k)


@pytest.fixture(scope="module")
def served(client: OpenSearch, corpus: Corpus, encoder_url: str) -> Iterator[str]:
    """An index that can be ranked in every way, with the plugin installed."""
    with loaded(client, corpus, OBJECTS) as index:
        install(client, index, parse(encoder_url, RECIPE.model, None), Words())
        yield index
        uninstall(client, index)


def test_any_search_is_taken_and_found_alike_by_client_and_server(
    client: OpenSearch, corpus: Corpus, served: str
) -> None:
    by_client, by_server = ClientSearch(client, served, lambda _: Words()), ServerSearch(client, served)
    found = 0

    @examples(60)
    @given(requests())
    def holds(request: SearchRequest) -> None:
        nonlocal found
        hits = by_client.search(request)
        assert by_server.search(request) == hits
        assert len(hits) <= request.size
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        for hit in hits:
            assert len(hit.matches) == len(request.phrases)
            for matches in hit.matches:
                assert 1 <= len(matches) <= request.boxes
                assert all(corpus.keeps(int(hit.photo_id, 16), match.region_id, request) for match in matches)
                assert request.min_similarity is None or all(
                    match.similarity > request.min_similarity - 1e-6 for match in matches
                )
        found += len(hits)

    holds()
    assert found


def test_the_template_renders_the_client_s_body(client: OpenSearch, served: str) -> None:
    server = version(client)

    @examples(100)
    @given(requests())
    def holds(request: SearchRequest) -> None:
        by = ranking(OBJECTS, request.rank, request.debias)
        folds = {} if request.fold is None else {VECTORS: True}
        asked = {"id": Names(served).search, "params": params(bound(request, by)) | folds}
        rendered = client.render_search_template(body=asked)["template_output"]
        encoded = rendered.pop("ext")["ml_inference"]["params"]["texts"]
        assert encoded == [*request.phrases, *reversed(request.nots)]
        rendered["query"] = rendered["query"]["template"]
        # The client leaves the key out.
        if request.fold is None:
            assert rendered["query"]["bool"].pop("should") == []
        # Quoted in the template, so that a value that is not a number cannot end the query there.
        rendered |= {name: int(rendered[name]) for name in ("size", "from")}
        assert rendered.pop("post_filter")["script"]["script"]["params"]["given"] == asked["params"]
        assert rendered == body(request, by)

    def body(request: SearchRequest, by: Any) -> Any:
        references = [[reference(name) for name in names] for names in (PHRASES, NOTS)]
        vectors, nots = references[0][: len(request.phrases)], references[1][: len(request.nots)]
        query = replace(bound(request, by), phrases=vectors, nots=nots)
        if request.min_similarity is None:
            # A template cannot leave it out. It writes a value below any cosine instead.
            query = replace(query, request=replace(request, min_similarity=Placeholder("lowest")))
        return json.loads(json.dumps(search_body(query, server)).replace('"lowest"', str(NO_MINIMUM)))

    holds()


def bound(request: SearchRequest, by: Ranking) -> Query:
    return Query(request, request.phrases, request.nots, request.filter.clauses({}), by)


def reference(name: str) -> str:
    return f"${{ext.ml_inference.params.{name}}}"


def test_recipes_come_back_from_the_engine_as_they_were(client: OpenSearch, served: str) -> None:
    before = client.indices.get_mapping(index=served)[served]["mappings"]["_meta"]

    @examples(30)
    @given(recipes)
    def holds(recipe: Any) -> None:
        client.indices.put_mapping(index=served, body={"_meta": {"sorce": {"recipe": recipe.to_meta()}}})
        back = recipe_of(client, served)
        assert (back, back.bank) == (recipe, recipe.bank)

    try:
        holds()
    finally:
        client.indices.put_mapping(index=served, body={"_meta": before})
