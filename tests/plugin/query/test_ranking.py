"""Rankings other than similarity: numpy's order, the same from client and server, and marked where it is not proved."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from opensearchpy import OpenSearch, exceptions

from sorce.errors import PluginError, QueryError
from sorce.mappings import Recipe
from sorce.mappings.answer import read_hits
from sorce.mappings.filters import Filter
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import Names
from sorce.mappings.query import Query
from sorce.mappings.ranking import ranking
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.template import VECTORS
from sorce.plugin.query.server import params
from sorce.plugin.query.table import as_json, table
from tests.kit.corpus import PHOTOS, RECIPE, Corpus, Expected, Words
from tests.plugin.query.test_search import check

BANK = {"texts": "sha256:0", "temperature": 0.1}
OBJECTS = replace(RECIPE, regions="objects", bank=BANK)
MATCHED = replace(OBJECTS, matching={"scale": 9.0, "bias": -5.0})
FAINT = replace(OBJECTS, matching={"scale": 20.0, "bias": -40.0})
"""Its products are below 1e-9."""

RECIPES = {"objects": OBJECTS, "matched": MATCHED, "faint": FAINT}

REQUESTS = {
    "product": SearchRequest(["a kite"], rank="product"),
    "product of another phrase": SearchRequest(["zebra"], rank="product", size=3),
    "product of two phrases": SearchRequest(["a kite", "a dog"], rank="product"),
    "product, but not": SearchRequest(["a kite"], ["a dog"], rank="product"),
    "product, phrases and nots": SearchRequest(["a kite", "sea"], ["a dog", "rain"], rank="product"),
    "product, several boxes": SearchRequest(["a kite"], boxes=3, rank="product"),
    "product, all boxes": SearchRequest(["a kite"], boxes=100, size=2, rank="product"),
    "product, filter": SearchRequest(["a kite"], filter=Filter(kinds=["tile"], max_area=0.004), rank="product"),
    "product, min_similarity": SearchRequest(["a kite"], min_similarity=0.5, boxes=5, size=50, rank="product"),
    "product, min_similarity for each phrase": SearchRequest(["a kite", "a dog"], min_similarity=0.4, rank="product"),
    "product, exact": SearchRequest(["a kite"], exact=True, rank="product"),
    "product of all photos": SearchRequest(["a kite"], size=500, rank="product"),
    "debias": SearchRequest(["a kite"], debias=1.0),
    "debias of all photos": SearchRequest(["a kite"], debias=2.0, size=PHOTOS, boxes=3),
    "debias, phrases and not": SearchRequest(["a kite", "a dog"], ["sea"], debias=0.5, boxes=2),
    "debias, min_similarity and filter": SearchRequest(
        ["a kite"], debias=0.5, min_similarity=0.2, filter=Filter(folder="/a/b")
    ),
}


@contextmanager
def loaded(client: OpenSearch, corpus: Corpus, recipe: Recipe) -> Iterator[str]:
    name = f"test-plugin-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name, recipe)
    yield name
    client.indices.delete(index=name)


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return RECIPES[request.param]


@pytest.fixture(scope="module")
def ranked(client: OpenSearch, corpus: Corpus, recipe: Recipe) -> Iterator[str]:
    """An index of the recipe."""
    with loaded(client, corpus, recipe) as name:
        yield name


@pytest.fixture(scope="module")
def served(client: OpenSearch, ranked: str, encoder_url: str) -> Iterator[str]:
    install(client, ranked, parse(encoder_url, RECIPE.model, None), Words())
    yield ranked
    uninstall(client, ranked)


def by_client(client: OpenSearch, index: str) -> ClientSearch:
    return ClientSearch(client, index, lambda _: Words())


def precision(recipe: Recipe, asked: SearchRequest) -> dict[str, float]:
    """Of scores, as `check` takes it: within the usual one all faint products are alike."""
    if recipe is not FAINT or asked.rank != "product":
        return {}
    # A "not" is subtracted from the greatest possible product, about 1e-9, which float32 stores with seven digits.
    return {"relative": 1e-4, "absolute": 1e-15 if asked.nots else 0.0}


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS.keys())
def test_client_ranks_as_numpy_does(
    client: OpenSearch, corpus: Corpus, recipe: Recipe, ranked: str, asked: SearchRequest
) -> None:
    # With hubness, candidates by cosine may miss the best photos, and nothing proves that they do not.
    by_scan, by_graph = asked, replace(asked, k=PHOTOS if asked.debias else asked.size)
    for each in (by_graph,) if asked.debias else (by_scan, by_graph):
        hits = by_client(client, ranked).search(each)
        check(hits, corpus.expected(asked, recipe.matching), **precision(recipe, asked))
        assert not any(hit.unproved for hit in hits)


def test_products_come_from_the_graph_where_there_is_too_much_to_scan(
    client: OpenSearch, ranked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched, asked = by_client(client, ranked), list[Any]()

    def spy(_: FoundIndex, body: Any, allow_partial: bool) -> Any:  # noqa: ARG001
        asked.append(body)
        return client.search(index=ranked, body=orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))

    monkeypatch.setattr(searched, "_ask", spy)
    few = searched.search(SearchRequest(["a kite"], rank="product"))
    assert not any("'knn':" in str(body) for body in asked)
    monkeypatch.setattr("sorce.plugin.query.search.SCANNED", 10)
    assert searched.search(SearchRequest(["a kite"], rank="product")) == few
    assert any("'knn':" in str(body) for body in asked)


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS.keys())
def test_server_finds_the_same(client: OpenSearch, served: str, asked: SearchRequest) -> None:
    everywhere = replace(asked, k=PHOTOS)
    hits = ServerSearch(client, served).search(everywhere)
    assert hits == by_client(client, served).search(everywhere)
    assert hits
    assert all(hit.unproved == (asked.rank == "product" and not asked.exact) for hit in hits)


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS.keys())
def test_server_finds_the_same_among_the_templates_own_candidates(
    client: OpenSearch, served: str, recipe: Recipe, asked: SearchRequest
) -> None:
    by = ranking(recipe, asked.rank, asked.debias)
    query = Query(asked, asked.phrases, asked.nots, asked.filter.clauses({}), by)
    given = params(query)
    # The client would raise the number of candidates until the order is proved.
    here = by_client(client, served).search(replace(asked, k=given["k"], max_k=given["k"]))
    there = ServerSearch(client, served).search(asked)
    assert [replace(hit, unproved=False) for hit in there] == [replace(hit, unproved=False) for hit in here]
    del given["k"]
    hits = read_hits(ask(client, served, given), query)
    assert list(hits) == [replace(hit, unproved=False) for hit in here]


def test_few_candidates_are_raised_until_the_order_is_proved(
    client: OpenSearch, corpus: Corpus, recipe: Recipe, ranked: str
) -> None:
    asked = SearchRequest(["a kite"], size=5, k=5, rank="product")
    hits = by_client(client, ranked).search(asked)
    check(hits, corpus.expected(asked, recipe.matching), **precision(recipe, asked))
    assert not any(hit.unproved for hit in hits)


def test_at_the_limit_what_is_not_proved_says_so(
    client: OpenSearch, corpus: Corpus, recipe: Recipe, ranked: str
) -> None:
    asked = SearchRequest(["tree"], size=2, k=2, max_k=2, rank="product")
    hits = by_client(client, ranked).search(asked)
    assert hits[-1].unproved
    assert as_json(hits, asked)["hits"][-1]["unproved"] is True
    assert "2~ " in table(hits, asked.phrases)
    assert table(hits, asked.phrases).splitlines()[-1].startswith("~ unproved:")
    # A photo may be missing, but each one that is found has its own score and box.
    everything = corpus.expected(replace(asked, size=PHOTOS), recipe.matching)
    places = [everything.photo_ids.index(hit.photo_id) for hit in hits]
    assert places == sorted(places)
    found = Expected(
        *([those[place] for place in places] for those in (everything.photo_ids, everything.scores, everything.matches))
    )
    check(hits, found, **precision(recipe, asked))


def test_products_show_similarity_quality_and_score(
    client: OpenSearch, corpus: Corpus, ranked: str, recipe: Recipe
) -> None:
    for hit in by_client(client, ranked).search(SearchRequest(["a kite"], rank="product")):
        likeness = hit.similarity
        if recipe.matching:
            likeness = (1 + 2.718281828459045 ** -(recipe.matching["scale"] * likeness + recipe.matching["bias"])) ** -1
        assert hit.score == pytest.approx(likeness * hit.quality, rel=1e-4, abs=0)
        assert hit.quality == pytest.approx(corpus.quality[int(hit.photo_id, 16), hit.best.region_id])


def test_a_recipe_without_quality_is_refused(client: OpenSearch, index: str) -> None:
    with pytest.raises(QueryError, match="have no quality to rank by; rank by similarity"):
        by_client(client, index).search(SearchRequest(["a kite"], rank="product"))


def test_an_index_without_hubness_is_refused(client: OpenSearch, index: str) -> None:
    with pytest.raises(QueryError, match="made without hubness; leave debias out"):
        by_client(client, index).search(SearchRequest(["a kite"], debias=1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rank": "product", "debias": 1}, "takes no debias"),
        ({"rank": "quality"}, "choose from similarity, product"),
        ({"debias": -0.1}, "out of range; choose 0 to 2"),
        ({"debias": 2.1}, "out of range"),
        ({"debias": float("nan")}, "out of range"),
        ({"max_k": 0}, "out of range; choose 1 to 10000"),
        ({"max_k": 10_001}, "out of range"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(client: OpenSearch, ranked: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        by_client(client, ranked).search(SearchRequest(["a kite"], **given))


def ask(client: OpenSearch, index: str, params: dict[str, Any]) -> Any:
    name = Names(index).search
    return client.transport.perform_request(
        "POST", f"/{index}/_search/template", params={"search_pipeline": name}, body={"id": name, "params": params}
    )


def test_the_template_takes_either_rank(client: OpenSearch, served: str) -> None:
    plain = ask(client, served, {"text": "a kite"})["hits"]["hits"]
    named = ask(client, served, {"text": "a kite", "rank": "similarity"})["hits"]["hits"]
    assert [(hit["_id"], hit["_score"]) for hit in named] == [(hit["_id"], hit["_score"]) for hit in plain]
    product = ask(client, served, {"text": "a kite", "rank": "product", "filter": []})["hits"]["hits"]
    assert [hit["_id"] for hit in product] != [hit["_id"] for hit in plain]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rank": "quality"}, "sorce: rank must be similarity or product"),
        ({"rank": ["product"]}, "sorce: rank must be"),
        ({"rank": "product", "debias": 1}, "sorce: rank by product takes no debias"),
        ({"rank": '", "x": "'}, "sorce: rank must be similarity or product"),
    ],
)
def test_the_template_refuses_what_it_does_not_understand(
    client: OpenSearch, served: str, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(exceptions.RequestError) as refused:
        ask(client, served, {"text": "a kite", **params})
    assert said in str(refused.value.info)


@pytest.mark.parametrize(
    ("params", "said"), [({"rank": "product"}, "have no quality"), ({"debias": 1}, "made without hubness")]
)
def test_the_template_of_an_index_that_cannot_refuses(
    client: OpenSearch, installed: str, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(exceptions.RequestError) as refused:
        ask(client, installed, {"text": "a kite", **params})
    assert said in str(refused.value.info)
    with pytest.raises(QueryError, match=said):
        ServerSearch(client, installed).search(SearchRequest(["a kite"], **params))


@pytest.mark.parametrize(
    ("now", "older", "said"),
    [
        (f"'{VECTORS}'", "'nothing'", "does not know all parameters"),
        # As 0.1.0, which passes over what it does not know.
        (f"{{{{#{VECTORS}}}}}", "{{#nothing}}", "shows no vectors"),
    ],
)
def test_the_template_of_an_older_sorce_that_lacks_a_parameter_is_a_sentence(
    client: OpenSearch, installed: str, now: str, older: str, said: str
) -> None:
    name = Names(installed).search
    source = client.get_script(id=name)["script"]["source"]
    assert now in source
    changed = source.replace(now, older).replace(now.replace("#", "/"), older.replace("#", "/"))
    client.put_script(id=name, body={"script": {"lang": "mustache", "source": changed}})
    try:
        with pytest.raises(PluginError, match=f"is of an older sorce and {said} .*plugin install"):
            ServerSearch(client, installed).search(SearchRequest(["a kite"]))
    finally:
        client.put_script(id=name, body={"script": {"lang": "mustache", "source": source}})


def test_the_template_of_an_older_sorce_is_no_silent_similarity(client: OpenSearch, installed: str) -> None:
    """One that knows no `rank`: here that of an index which was another when the plugin was installed."""
    name = Names(installed).search
    source = client.get_script(id=name)["script"]["source"]
    older = source.replace("{{#rank}}", "{{#nothing}}").replace("{{/rank}}", "{{/nothing}}")
    older = older.replace("{{^rank}}", "{{^nothing}}")
    meta = client.indices.get_mapping(index=installed)[installed]["mappings"]["_meta"]
    client.put_script(id=name, body={"script": {"lang": "mustache", "source": older}})
    client.indices.put_mapping(index=installed, body={"_meta": {"sorce": {"recipe": OBJECTS.to_meta()}}})
    try:
        with pytest.raises(PluginError, match=r"is of an older sorce .*plugin install"):
            ServerSearch(client, installed).search(SearchRequest(["a kite"], rank="product"))
    finally:
        client.put_script(id=name, body={"script": {"lang": "mustache", "source": source}})
        client.indices.put_mapping(index=installed, body={"_meta": meta})
