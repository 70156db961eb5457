"""The stored template: typed text arrives unchanged, and parameters that are not understood are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason
from sorce.mappings.names import Names
from sorce.mappings.query import Version
from sorce.mappings.regions import read_vectors
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.cluster.template import template
from tests.kit.corpus import RECIPE, Words

HOSTILE = [
    'say "kite"',
    'a \\ b \\" c \\n d',
    "two\nlines\tand\rmore",
    "{{text}} {{{size}}} {{#and}} {{/and}} {{! no }} {{> partial}} {{=<% %>=}}",
    "${x} ${ext.ml_inference.params.text} ${credential.key} $${y}",
    '"]}, "match_all": {} }, {"a": ["',
    '","and":"b',
    "'single' $ % & < > / ` \u2028",
    "http://127.0.0.1:9/x.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "/etc/passwd",
    "file:///etc/passwd",
    "\u202eright to left \u05d0\u05d1",
    "emoji \U0001f600 and \u00e9 and e\u0301",
    "\x01 \x1f \b",
    "0",
    "false",
    "null",
    "[1, 2]",
    "$.data[0]",
    "$1 \\1 $0",
    "</script>",
    " spaces around ",
    "x" * 2000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_arrives_as_typed(client: OpenSearch, installed: str, text: str) -> None:
    request = (
        SearchRequest([text, "and " + text], ["not " + text], size=3) if len(text) < 2000 else SearchRequest([text])
    )
    here = ClientSearch(client, installed, lambda _: Words()).search(request)
    assert ServerSearch(client, installed).search(request) == here
    assert here


def ask(client: OpenSearch, index: str, params: dict[str, Any]) -> Any:
    name = Names(index).search
    return client.transport.perform_request(
        "POST", f"/{index}/_search/template", params={"search_pipeline": name}, body={"id": name, "params": params}
    )


def test_a_text_is_all_that_is_needed(client: OpenSearch, installed: str) -> None:
    hits = ask(client, installed, {"text": "a kite"})["hits"]["hits"]
    found = ServerSearch(client, installed).search(SearchRequest(["a kite"]))
    assert [hit["_id"] for hit in hits] == [hit.photo_id for hit in found]
    assert set(hits[0]["inner_hits"]) == {"p0"}
    assert "_source" not in hits[0]


def test_empty_parameters_count_as_absent(client: OpenSearch, installed: str) -> None:
    plain = ask(client, installed, {"text": "a kite"})["hits"]
    nothing = {"and": "", "not": "", "filter": [], "exact": False}
    assert ask(client, installed, {"text": "a kite", **nothing})["hits"] == plain


def test_more_photos_than_the_default_need_no_k(client: OpenSearch, installed: str) -> None:
    assert len(ask(client, installed, {"text": "a kite", "size": 120})["hits"]["hits"]) == 120


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "sorce: give the parameter text"),
        ({"text": ""}, "sorce: give the parameter text"),
        ({"text": ["a"]}, "sorce: text must be one text"),
        ({"text": "a", "and": ["b"]}, "sorce: and must be one text"),
        ({"text": "a", "not": ["b", "c"]}, "sorce: not must be one text"),
        ({"text": "a", "and2": "b"}, "sorce: and2 needs and"),
        ({"text": "a", "and": "b", "and3": "c"}, "sorce: and3 needs and2"),
        ({"text": "a", "not2": "b"}, "sorce: not2 needs not"),
        ({"text": "a", "filter": {"term": {"regions.kind": "tile"}}}, "sorce: filter must be a list of clauses"),
        ({"text": "a", "filter": "regions.kind"}, "sorce: filter must be a list of clauses"),
    ],
)
def test_what_is_not_understood_is_refused(
    client: OpenSearch, installed: str, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(exceptions.RequestError) as refused:
        ask(client, installed, params)
    assert said in reason(refused.value)


def test_vectors_of_whole_photos_are_shown_where_they_are_asked_for(client: OpenSearch, installed: str) -> None:
    plain, more = (ask(client, installed, {"text": "a kite", **params}) for params in ({}, {"vectors": True}))
    assert all(hit["inner_hits"].keys() == {"p0"} for hit in plain["hits"]["hits"])
    assert [hit["_score"] for hit in more["hits"]["hits"]] == [hit["_score"] for hit in plain["hits"]["hits"]]
    shown = read_vectors(more)
    assert len(shown) == len(plain["hits"]["hits"]) == 10
    assert all(vector is not None and len(vector) == RECIPE.dimension for vector in shown.values())


@pytest.mark.parametrize(
    ("params", "said"),
    [
        pytest.param(
            {"siez": 2}, "sorce: there is no parameter siez; there are text, and", marks=pytest.mark.fault("5.5.1")
        ),
        pytest.param({"exact": "false"}, "sorce: exact must be true or false", marks=pytest.mark.fault("5.5.2")),
        pytest.param({"text": {"x": 1}}, "sorce: text must be one text", marks=pytest.mark.fault("5.5.3")),
        pytest.param({"and": True}, "sorce: and must be one text", marks=pytest.mark.fault("5.5.4")),
        pytest.param({"not": 3}, "sorce: not must be one text", marks=pytest.mark.fault("5.s.9")),
        pytest.param({"boxes": "2"}, "sorce: boxes must be a number", marks=pytest.mark.fault("5.s.9")),
        pytest.param(
            {"filter": [{"term": {"regions.kind": "tile"}}], "folder": "/a"},
            "sorce: there is no parameter folder",
            marks=pytest.mark.fault("5.s.10"),
        ),
    ],
)
def test_what_mustache_passes_over_is_refused(
    client: OpenSearch, installed: str, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(exceptions.RequestError) as refused:
        ask(client, installed, {"text": "a kite", **params})
    assert said in str(refused.value.info)


@pytest.mark.parametrize("name", ["size", "boxes", "k", "ef_search", "min_similarity"])
@pytest.mark.parametrize("value", ['5, "explain": true', "5}, {", [5, 6], {"a": 1}])
def test_a_number_that_is_none_is_refused(client: OpenSearch, installed: str, name: str, value: Any) -> None:
    with pytest.raises(exceptions.TransportError) as refused:
        ask(client, installed, {"text": "a kite", name: value})
    assert refused.value.status_code == 400


def test_before_3_1_the_filter_inside_knn_is_bare() -> None:
    wrapped = json.dumps({"nested": {"path": "regions", "query": {"bool": {"filter": "F"}}}}).replace(
        '"F"', "{{#toJson}}"
    )
    head = wrapped.split("{{")[0]
    assert head in template(Version(3, 6), RECIPE)
    assert head not in template(Version(2, 19), RECIPE)
