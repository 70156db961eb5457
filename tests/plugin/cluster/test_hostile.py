"""Whatever a text contains, it is only a text: nothing is read or fetched because of it, and it changes no query."""

from __future__ import annotations

import base64
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opensearchpy import OpenSearch, exceptions
from PIL import Image

from sorce.cluster import reason
from sorce.errors import QueryError
from sorce.mappings.filters import MAX_BYTES, Filter
from sorce.mappings.names import Names
from sorce.models import load_encoder
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.service import app as service
from tests.kit.corpus import RECIPE, Words
from tests.kit.serving import serving
from tests.plugin.service.test_app import ask, vectors

TEXTS = {
    "picture": "PICTURE",
    "picture, by address": "file://PICTURE",
    "page": "http://127.0.0.1:PORT/photo.png",
    "share": "//127.0.0.1:PORT/photo.png",
    "picture in the text": "data:image/png;base64,DATA",
    "passwords": "/etc/passwd",
    "above": "../../../../etc/passwd",
    "a template": '{"text": "{{text}}", {{#toJson}}filter{{/toJson}}}',
    "mustache": "{{text}} {{{size}}} {{#and}}{{/and}} {{! no }} {{> partial}} {{=<% %>=}}",
    "references": "${x} ${ext.ml_inference.params.text} ${credential.key} $${y} ${parameter.x}",
    "end of the list": '"], "model": "other", "input": ["',
    "end of the query": '"}]}}, "query": {"match_all": {}}, "a": [{"b": "',
    "backslashes": '\\ \\\\ \\" \\n \\u0041 \\ud800',
    "controls": "\x00\x01\x07\x08\x1b[2J\x85 a",
    "lines": "two\r\nlines\u2028and\u2029more\vand\fmore",
    "header": "a\r\nHost: elsewhere\r\n\r\nGET / HTTP/1.1",
    "right to left": "\u202e\u2066abc\u2069 \u05e9\u05dc\u05d5\u05dd \u200f \u0645\u0631\u062d\u0628\u0627",
    "beyond the plane": "\U0001f600\U0010ffff\ufeff\ufffe e\u0301",
    "a number": "1e999",
    "nothing": "null",
    "everything": '*:* OR _exists_:vec AND ("a"~2) /.*/',
    "a script": "'; doc['regions.vec'].value; //",
    "as long as may be": '\\"{{' * 500,
}
"""PICTURE is the path of an existing picture, PORT a port that records who connects, DATA the picture's content."""


class Hostile:
    """The texts of this run, and whether anybody came for what they name."""

    def __init__(self, folder: Path) -> None:
        self.picture = folder / "photo.png"
        Image.new("RGB", (8, 8), "red").save(self.picture)
        self.trap = socket.create_server(("127.0.0.1", 0))
        self.trap.setblocking(False)
        self.port = self.trap.getsockname()[1]
        self.data = base64.b64encode(self.picture.read_bytes()).decode()

    def __getitem__(self, name: str) -> str:
        text = TEXTS[name].replace("PICTURE", str(self.picture)).replace("PORT", str(self.port))
        return text.replace("DATA", self.data)

    @property
    def was_fetched(self) -> bool:
        try:
            self.trap.accept()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    made = Hostile(tmp_path_factory.mktemp("hostile"))
    yield made
    made.trap.close()


@pytest.fixture(scope="module")
def words() -> Words:
    """The model behind the service; it tells what arrived."""
    return Words()


@pytest.fixture(scope="module")
def installed(client: OpenSearch, index: str, words: Words) -> Iterator[str]:
    with serving(service.application(service.Served(RECIPE.model, words))) as url:
        install(client, index, parse(url, RECIPE.model, None), Words())
        yield index
        uninstall(client, index)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_arrives_as_typed_and_finds_the_same(
    client: OpenSearch, installed: str, words: Words, hostile: Hostile, name: str
) -> None:
    text = hostile[name]
    one, several = SearchRequest([text]), SearchRequest([text, f"and {text[:1900]}"], [f"not {text[:1900]}"], size=3)
    for request, new in ((one, one.texts), (several, several.texts[1:])):
        words.calls.clear()
        here = ClientSearch(client, installed, lambda _: Words()).search(request)
        assert ServerSearch(client, installed).search(request) == here
        assert len(here) == request.size
        assert sorted(each for call in words.calls for each in call) == sorted(new)
    assert not hostile.was_fetched


CONDITIONS = [name for name in TEXTS if "${" not in TEXTS[name]]


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_only_a_value(client: OpenSearch, installed: str, hostile: Hostile, name: str) -> None:
    text = hostile[name][: MAX_BYTES - len("shop=")]
    for given in (Filter(folder=text), Filter(camera=text), Filter(where=[f"shop={text}"])):
        request = SearchRequest(["a kite"], filter=given)
        assert not ClientSearch(client, installed, lambda _: Words()).search(request)
        assert not ServerSearch(client, installed).search(request)
    assert not hostile.was_fetched


REFUSED: dict[str, tuple[Any, str]] = {
    "1 MB": (lambda: SearchRequest(["x" * 1_000_000]), "1000000 characters is too long"),
    "1 MB of a condition": (lambda: SearchRequest(["a"], filter=Filter(folder="/a" * 500_000)), "is too long"),
    "half a character": (lambda: SearchRequest(["a \ud800"]), "half a character"),
    "half a character of a condition": (lambda: SearchRequest(["a"], filter=Filter(camera="\udc80")), "half a char"),
}
REFUSED_BY_SERVER: dict[str, tuple[Any, str]] = {
    "a parameter": (lambda: SearchRequest(["a ${parameters.model}"]), "search with --client"),
    "all parameters": (lambda: SearchRequest(["a ${parameters} b"]), "search with --client"),
    "a character that is lost": (lambda: SearchRequest(["a\x7fb"]), r"DEL \(U\+007F\) of a text; search with --client"),
    "a default": (lambda: SearchRequest(["a"], ["${parameters.x:-b}"]), "search with --client"),
    "a vector": (
        lambda: SearchRequest(["a"], filter=Filter(camera="${ext.ml_inference.params.text}")),
        "in a condition; search with --client",
    ),
}


@pytest.mark.parametrize(("made", "said"), [*REFUSED.values(), *REFUSED_BY_SERVER.values()])
def test_what_cannot_be_asked_is_one_sentence_and_nobody_is_called(
    client: OpenSearch, installed: str, words: Words, made: Any, said: str
) -> None:
    words.calls.clear()
    with pytest.raises(QueryError, match=said) as refused:
        ServerSearch(client, installed).search(made())
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 200
    assert str(refused.value).isprintable()
    assert words.calls == []


@pytest.mark.parametrize("made", [made for made, _ in REFUSED_BY_SERVER.values()], ids=REFUSED_BY_SERVER.keys())
def test_the_client_answers_what_the_server_would_fill_in(client: OpenSearch, installed: str, made: Any) -> None:
    encoder = Words()
    ClientSearch(client, installed, lambda _: encoder).search(made())
    assert encoder.calls == [made().texts]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "\ud800",
        "${parameters}",
        "${parameters.texts}",
        "${parameters.model}",
        "${parameters.${parameters.texts}}",
        '${parameters.x:-", "b}',
        '${parameters.x:-a"], "model": "b}',
        "$${parameters.texts}",
    ],
)
def test_who_asks_the_cluster_by_hand_gets_an_answer_to_one_text_or_a_refusal(
    client: OpenSearch, installed: str, words: Words, text: str
) -> None:
    words.calls.clear()
    try:
        answer = by_hand(client, installed, text)
    except exceptions.TransportError as error:
        refusal = error
    else:
        assert [len(call) for call in words.calls] == [1]
        assert all(hit["inner_hits"].keys() == {"p0"} for hit in answer["hits"]["hits"])
        return
    assert 400 <= int(refusal.status_code) <= 500
    assert reason(refusal)
    assert words.calls == []


def by_hand(client: OpenSearch, index: str, text: str) -> Any:
    name = Names(index).search
    path, body = f"/{index}/_search/template", {"id": name, "params": {"text": text}}
    return client.transport.perform_request("POST", path, params={"search_pipeline": name}, body=body)


seen: list[tuple[str, Any]] | None = None


def _look(event: str, given: tuple[Any, ...]) -> None:
    if seen is not None and event in ("open", "socket.connect", "socket.getaddrinfo", "urllib.Request"):
        seen.append((event, given[1] if event == "socket.connect" else given[0]))


@contextmanager
def watched() -> Iterator[list[tuple[str, Any]]]:
    """What this process opens and calls meanwhile, in any of its threads."""
    global seen
    seen = []
    try:
        yield seen
    finally:
        seen = None


sys.addaudithook(_look)


def test_a_real_model_opens_and_calls_nothing_for_a_text(hostile: Hostile) -> None:
    texts = [hostile[name] for name in TEXTS]
    encoder = load_encoder("mini", "cpu")
    with serving(service.application(service.Served("mini", encoder))) as url:
        # Everything that is loaded at the first request is loaded now.
        ask(url, {"input": "a kite"})
        with watched() as control:
            hostile.picture.read_bytes()
        assert [(event, str(named)) for event, named in control] == [("open", str(hostile.picture))]
        with watched() as happened:
            found = vectors(ask(url, {"input": texts}))
        # The only exception is our own request's connection to the service.
        service_at = ("socket.connect", ("127.0.0.1", urlsplit(url).port))
        assert {each for each in happened if each[0] != "socket.getaddrinfo"} == {service_at}
        assert {named for event, named in happened if event == "socket.getaddrinfo"} <= {"127.0.0.1"}
    assert found == pytest.approx(encoder.embed_texts(texts), abs=1e-5)
    assert len({vector.tobytes() for vector in found}) > len(texts) / 2
    assert not hostile.was_fetched
