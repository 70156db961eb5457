"""Hostile surroundings: servers that are no Dashboards, names and addresses that try to be more than that."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from sorce.access import Access
from sorce.cli import command
from sorce.dashboards import server
from sorce.dashboards.build import built
from sorce.dashboards.install import install, uninstall
from sorce.dashboards.objects import Ids, SavedObject, ndjson
from sorce.dashboards.photos import PhotosView
from sorce.dashboards.question import GridSearch, question
from sorce.dashboards.rules import expressions, problems
from sorce.dashboards.server import Dashboards, checked_url
from sorce.errors import ClusterError, DashboardsError
from sorce.mappings.found import FoundIndex
from sorce.mappings.index import index_body
from sorce.mappings.names import Names
from sorce.mappings.query import Version
from tests.kit.corpus import RECIPE, Corpus, Words
from tests.kit.dashboards import filled
from tests.kit.listening import replying

Json = dict[str, Any]

SECRET = "s3cret-t0ken"
HTML = "<!doctype html><title>Sign in</title>"


def http(status: str, body: str = "", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, "Connection: close", "", body]).encode()


SERVERS = {
    "HTML": (http("200 OK", HTML), "is no OpenSearch Dashboards; correct --dashboards-url"),
    "login": (http("302 Found", "", "Location: /app/login?nextUrl=%2F"), "does not know who asks (302)"),
    "sign-in elsewhere": (
        http("303 See Other", "", "Location: https://sso.example/authorize"),
        "does not know who asks",
    ),
    "another address": (http("301 Moved", "", "Location: https://other.example/"), "sends to another address (301)"),
    "401": (http("401 Unauthorized", HTML), "does not know who asks (401)"),
    "403": (http("403 Forbidden", HTML), "may not do that"),
    "413": (http("413 Too Large", HTML), "takes no file of this size (413); raise savedObjects.maxImportPayloadBytes"),
    "bad gateway": (http("502 Bad Gateway", HTML), "refused (502): it gives no reason"),
    "an OpenSearch": (
        http("400 Bad", '{"error": "no handler found", "status": 400}'),
        "refused (400): it gives no reason",
    ),
    "JSON cut short": (http("200 OK", '{"total": 1, "saved_obj'), "is no OpenSearch Dashboards"),
    "an answer cut short": (http("200 OK", '{"total": 1', length=500), "no OpenSearch Dashboards answers at"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n", "no OpenSearch Dashboards answers at"),
    "a list": (http("200 OK", "[]"), "is no OpenSearch Dashboards"),
    "other JSON": (http("200 OK", '{"total": null, "saved_objects": 7}'), "is no OpenSearch Dashboards"),
    "objects of another form": (
        http("200 OK", '{"total": 1, "saved_objects": ["x"], "errors": ["x"], "attributes": null}'),
        "is no OpenSearch Dashboards",
    ),
}


@pytest.mark.parametrize("name", SERVERS)
def test_what_is_no_dashboards_is_one_sentence_without_the_secret(name: str) -> None:
    sent, said = SERVERS[name]
    with replying(sent) as url, Dashboards(url, Access(token=SECRET)) as there:
        for act in (lambda: install(there, Ids("photos"), built(view())), lambda: uninstall(there, Ids("photos"))):
            with pytest.raises(DashboardsError) as refused:
                act()
            assert said in str(refused.value)
            assert SECRET not in str(refused.value)
            assert "\n" not in str(refused.value)


def test_an_object_of_another_form_is_told() -> None:
    with (
        replying(http("200 OK", '{"attributes": null}')) as url,
        Dashboards(url, Access()) as there,
        pytest.raises(DashboardsError, match="is no OpenSearch Dashboards"),
    ):
        there.get(("dashboard", "sorce-board-photos"))


def test_a_server_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SECONDS", 0.2)
    with (
        replying(then=Event()) as url,
        Dashboards(url, Access()) as there,
        pytest.raises(DashboardsError, match="said nothing for"),
    ):
        there.start_page()


def test_an_answer_that_does_not_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BYTES", 2**20)
    endless = http("200 OK", length=2**40), b"x" * 2**20, b"x"
    with (
        replying(*endless, then=Event()) as url,
        Dashboards(url, Access()) as there,
        pytest.raises(DashboardsError, match="does not end"),
    ):
        there.start_page()


@pytest.mark.parametrize(
    "url", ["http://host/a b", "http://host\r\nX: y", "http://host/{{value}}", 'http://h"', "http://h\\a"]
)
def test_an_address_with_what_no_url_holds_is_refused(url: str) -> None:
    with pytest.raises(DashboardsError, match="which no URL holds"):
        checked_url(url, "--page")


@pytest.mark.parametrize("name", ["a\r\nX: y", "犬", "\x1b[31m"])
def test_a_tenant_that_no_header_can_name_is_refused(name: str) -> None:
    with pytest.raises(DashboardsError, match="cannot be named in a request"):
        Dashboards("http://127.0.0.1:1", Access(), name)


@pytest.mark.parametrize("token", [f"{SECRET}\nX: y", f"{SECRET}犬"])
def test_a_token_that_no_header_can_hold_is_refused_without_it(token: str) -> None:
    with pytest.raises(ClusterError, match="OPENSEARCH_TOKEN holds") as refused:
        Access(token=token)
    assert SECRET not in str(refused.value)


def test_a_wrong_name_or_address_is_refused_before_anything_is_asked() -> None:
    for words in (["--index", "*"], ["--index", "photos", "--page", "http://a:b@host"]):
        for act in ("build", "install", "status"):
            done = CliRunner().invoke(command("dashboards"), [act, *words], standalone_mode=False)
            assert done.exception is not None
            assert "cannot be the name" in str(done.exception) or "holds a user or a password" in str(done.exception)


NAMES = [
    "it's",
    "{{value}}",
    "${x}",
    "top-window-document",
    "a)b(",
    "p&q=1+2",
    "[x](y)",
    "%timefilter%".replace("%", "$"),
]
ATTRIBUTES = [
    'x": 1}}, "i") || window.alert("y',
    "it's",
    "{{value}}",
    "${x}",
    "a\\b",
    "line\nbreak",
    "parent",
    "%dashboard_context-must_clause%",
]


def view(name: str = "photos", attributes: Json | None = None, page: str | None = None) -> PhotosView:
    mapping = index_body(RECIPE, attributes=attributes)["mappings"]
    found = FoundIndex.of(name, {name: {"mappings": mapping, "settings": {"index.uuid": "x"}}})
    return PhotosView(found, Version(3, 6), regions=10, has_thumbnails=True, page=page)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_indices_and_attributes_stay_names(name: str) -> None:
    objects = built(view(name, {each: {"type": "keyword"} for each in ATTRIBUTES}, "https://top.example:81/self"))
    assert problems(ndjson(objects)) == []
    assert {each.id for each in objects if Ids(name).made(each.id)} == {each.id for each in objects}
    assert not any(Ids("photos").made(each.id) for each in objects)
    for each in objects:
        for expression in expressions(specification(each)):
            outside = re.sub(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", "0", expression)
            # What is left is sorce's own code: no quote is open, and no name is in it.
            assert not set(outside) & set("\"'\\`"), expression
            assert "alert" not in outside
    [pattern] = [each for each in objects if each.id == Ids(name).of("pattern")]
    for shown in json.loads(pattern.attributes["fieldFormatMap"]).values():
        template = shown["params"]["urlTemplate"]
        assert re.findall(r"{{.*?}}", template) in (["{{value}}"], ["{{rawValue}}"]), template


def specification(each: SavedObject) -> object:
    """Vega's, of a panel that has one."""
    spec = json.loads(each.attributes.get("visState", "{}")).get("params", {}).get("spec")
    return None if spec is None else json.loads(spec)


def test_a_thousand_attributes_and_types_that_cannot_be_counted_make_no_broken_panel() -> None:
    types = {f"a{number:04}": {"type": "keyword"} for number in range(1000)}
    objects = built(view(attributes={"a": {"type": "text"}, "b": {"properties": {"c": {}}}, **types}))
    titles = [each.attributes["title"] for each in objects if "-attribute" in each.id]
    assert titles == [f"photos: a{number:04}" for number in range(8)]


VALUES = [
    'say "hi"',
    "it's",
    "{{x}}",
    "${x}",
    "a\\b",
    "two\nlines",
    "* OR [0 TO *] AND NOT (",
    "/a/../b",
    "犬 \u202eb",
    "%x%",
]


@pytest.fixture(scope="module")
def hostile(client: OpenSearch) -> Iterator[str]:
    """An index whose folders and attributes hold VALUES. Photo i has value i."""
    corpus, name = Corpus(photos=len(VALUES), regions=2), f"test-hostile-{uuid.uuid4().hex[:8]}"
    corpus.photos = [
        replace(photo, file=replace(photo.file, folder=value), attributes={"shop": value})
        for photo, value in zip(corpus.photos, VALUES, strict=True)
    ]
    corpus.load(client, name)
    yield name
    client.indices.delete(index=name)


CLICKS: list[Callable[[str], Json]] = [
    lambda value: {"match_phrase": {"folder": value}},
    lambda value: {"match_phrase": {"attributes.shop": value}},
]


def test_a_click_on_any_value_filters_to_its_photo(client: OpenSearch, index: str, hostile: str) -> None:
    """The panel's search is a template, which must not take a value for a placeholder."""
    asked = {
        **question(GridSearch(hostile, Version(3, 6), 20, "ingested_at", 10, 1)),
        "search_pipeline": Names(index).bar,
    }
    for number, value in enumerate(VALUES):
        for click in CLICKS:
            found = client.search(index=hostile, body=filled(asked, "a fish", [click(value)]))["hits"]["hits"]
            assert [hit["_id"] for hit in found] == [f"{number:032x}"], value


@pytest.mark.parametrize("text", ['"a cup (red)"', '"{{x}}"', '"it is ${x}"', "a\\\\b", '"say \\"hi\\""', "犬"])
def test_a_question_in_lucene_s_syntax_is_encoded_as_typed(
    client: OpenSearch, index: str, corpus: Corpus, text: str
) -> None:
    body = question(GridSearch(index, Version(3, 6), 1800, "ingested_at", 3, 1))
    found = [hit["_id"] for hit in client.search(index=index, body=filled(body, text))["hits"]["hits"]]
    best = (corpus.vectors @ Words().embed_texts([text])[0]).max(axis=1)
    assert found == [f"{i:032x}" for i in (-best).argsort()[:3]]
