"""Anybody may have written an index's content: what cannot be shown is left out and named, and nothing crashes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from sorce.cli import sorce as command
from sorce.errors import ClusterError, IndexMissing
from sorce.mappings import Hit, Recipe
from sorce.mappings.answer import shortfall
from sorce.mappings.document import document
from sorce.plugin import ClientSearch, SearchRequest
from tests.kit.corpus import PHOTOS, SERIALIZE_NUMPY, Corpus, Words
from tests.kit.place import Place
from tests.plugin.query.test_ranking import OBJECTS

TEXT = "a bad document"
BAD = "bad\x1b[31m"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def objects(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    """An index that can be ranked in every way."""
    name = f"test-untrusted-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name, OBJECTS)
    yield name
    client.indices.delete(index=name)


@contextmanager
def with_document(client: OpenSearch, corpus: Corpus, index: str, change: Callable[[Document], Any]) -> Iterator[None]:
    """A document whose only region is what TEXT says, changed."""
    region = replace(corpus.regions[0][0], vec=Words().embed_texts([TEXT])[0])
    made = document(corpus.photos[0], [region], datetime(2026, 7, 1, tzinfo=UTC), OBJECTS.hash)
    body: Document = orjson.loads(orjson.dumps(made, None, SERIALIZE_NUMPY))
    change(body)
    client.index(index=index, id=BAD, body=body, params={"refresh": "true"})
    try:
        yield
    finally:
        client.delete(index=index, id=BAD, params={"refresh": "true"})


def without(name: str) -> Callable[[Document], Any]:
    return lambda body: body.pop(name)


def region_without(name: str) -> Callable[[Document], Any]:
    return lambda body: body["regions"][0].pop(name)


def no_width(body: Document) -> None:
    body["regions"][0]["x2"] = body["regions"][0]["x1"]


def huge(body: Document) -> None:
    body["regions"][0]["vec"] = [3e38 * number for number in body["regions"][0]["vec"]]


MALFORMED = [
    pytest.param(without("uri"), "has no uri", marks=pytest.mark.fault("4.1.1")),
    pytest.param(without("width"), "has no width", marks=pytest.mark.fault("4.1.2")),
    pytest.param(without("file_name"), "has no file_name", marks=pytest.mark.fault("4.1.3")),
    pytest.param(without("photo_id"), "has no photo_id", marks=pytest.mark.fault("4.1.4")),
    pytest.param(region_without("x1"), "regions has no x1", marks=pytest.mark.fault("4.1.5")),
    pytest.param(region_without("id"), "regions has no id", marks=pytest.mark.fault("4.1.6")),
    pytest.param(region_without("quality"), "regions has no quality", marks=pytest.mark.fault("4.1.7")),
    pytest.param(region_without("area"), "regions has no area", marks=pytest.mark.fault("4.1.8")),
    pytest.param(no_width, "has no area", marks=pytest.mark.fault("4.1.9")),
    pytest.param(huge, "not of unit length", marks=pytest.mark.fault("4.1.10")),
    pytest.param(without("folder"), "has no folder", marks=pytest.mark.fault("4.s.1")),
    pytest.param(lambda body: body.update(recipe_hash="0" * 16), "by another recipe", marks=pytest.mark.fault("4.s.2")),
    pytest.param(lambda body: body.update(width=0), "width is 0", marks=pytest.mark.fault("4.s.3")),
]


@pytest.mark.fault("4.1.11")
@pytest.mark.parametrize(("change", "said"), MALFORMED)
@pytest.mark.parametrize("rank", ["similarity", "product"])
def test_a_malformed_document_is_left_out_and_named_and_the_rest_is_found(
    client: OpenSearch, corpus: Corpus, objects: str, change: Callable[[Document], Any], said: str, rank: str
) -> None:
    request = SearchRequest([TEXT], size=PHOTOS + 1, k=PHOTOS + 1, rank=rank)
    search = ClientSearch(client, objects, lambda _: Words())
    whole = search.search(request)
    with with_document(client, corpus, objects, change):
        hits = search.search(request)
    assert [hit.photo_id for hit in hits] == [hit.photo_id for hit in whole]
    assert len(hits) == PHOTOS
    [left_out] = hits.left_out
    assert left_out.photo_id == BAD
    assert said in left_out.reason


@pytest.mark.fault("4.s.4")
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    "given", [{}, {"rank": "product"}, {"debias": 1.0}, {"nots": ["sea"]}, {"min_similarity": 0.1}]
)
def test_a_region_without_a_vector_fails_no_search(
    client: OpenSearch, corpus: Corpus, objects: str, given: dict[str, Any], exact: bool
) -> None:
    request = SearchRequest([TEXT], size=5, exact=exact, **given)
    search = ClientSearch(client, objects, lambda _: Words())
    whole = search.search(request)
    with with_document(client, corpus, objects, region_without("vec")):
        assert list(search.search(request)) == list(whole)


@pytest.mark.fault("4.s.5")
@pytest.mark.parametrize("name", ["hubness", "quality"])
def test_a_region_without_a_number_that_ranks_fails_no_search(
    client: OpenSearch, corpus: Corpus, objects: str, name: str
) -> None:
    given: dict[str, Any] = {"debias": 1.0} if name == "hubness" else {"rank": "product"}
    request = SearchRequest([TEXT], size=5, exact=True, **given)
    search = ClientSearch(client, objects, lambda _: Words())
    with with_document(client, corpus, objects, region_without(name)):
        assert len([hit for hit in search.search(request) if hit.photo_id != BAD]) >= 4


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    monkeypatch.setattr("sorce.plugin.query.commands.load_encoder", lambda *_, **__: Words())
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command, ["search", *arguments], catch_exceptions=False, standalone_mode=False)


@pytest.mark.fault("4.2.1", "4.2.2")
@pytest.mark.usefixtures("_environment")
def test_the_command_names_what_is_left_out(client: OpenSearch, corpus: Corpus, objects: str) -> None:
    with with_document(client, corpus, objects, without("uri")):
        told = run(TEXT, "--index", objects)
        found = json.loads(run(TEXT, "--index", objects, "--json").stdout)
    assert "note: photo 'bad\\x1b[31m' is left out: its document has no uri." in told.stderr
    assert found["left_out"] == [{"photo_id": BAD, "reason": "its document has no uri"}]
    assert len(found["hits"]) == 9


@pytest.mark.fault("4.4.1", "4.4.2", "4.4.3")
@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("name", ["file_name", "folder", "kind"])
def test_control_characters_of_a_document_are_shown_escaped(
    client: OpenSearch, corpus: Corpus, objects: str, name: str
) -> None:
    def change(body: Document) -> None:
        (body["regions"][0] if name == "kind" else body)[name] = "x\x1b]0;\x07\u202ey"

    with with_document(client, corpus, objects, change):
        said = run(TEXT, "--index", objects, "--size", "1").stdout
    assert "x\\x1b]0;\\x07\\u202ey" in said
    assert "\x1b" not in said


META: dict[str, Any] = {
    "regions": ["tiles"],
    "parameters": None,
    "bank": [1],
    "dimension": "16",
    "matching": {"scale": 1},
}


@pytest.mark.fault("4.1.14", "4.1.15", "4.1.16", "4.s.6")
@pytest.mark.parametrize("name", META)
def test_a_recipe_of_wrong_types_is_a_sentence(name: str) -> None:
    meta = {"sorce": {"recipe": {**OBJECTS.to_meta(), name: META[name]}}}
    with pytest.raises(IndexMissing, match=r"holds no sorce recipe|is malformed"):
        Recipe.from_meta(meta, "photos")


@pytest.fixture
def half(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    name = f"test-partial-{uuid.uuid4().hex[:8]}"
    try:
        corpus.load_half(client, name)
        yield name
    finally:
        client.indices.delete(index=name)


@pytest.mark.fault("4.5.1", "4.5.2")
@pytest.mark.usefixtures("_environment")
def test_a_partial_answer_is_an_error_or_marked(client: OpenSearch, half: str) -> None:
    search = ClientSearch(client, half, lambda _: Words())
    with pytest.raises(ClusterError, match=r"is not complete: .*--allow-partial"):
        search.search(SearchRequest([TEXT]))
    hits = search.search(SearchRequest([TEXT], size=PHOTOS, exact=True, allow_partial=True))
    assert len(hits) == PHOTOS
    assert hits.incomplete == "1 of 2 shards did not answer (they have no copy that is started)"
    told, found = (run(TEXT, "--index", half, "--allow-partial", *more) for more in ([], ["--json"]))
    assert "incomplete: 1 of 2 shards did not answer" in told.stderr
    assert json.loads(found.stdout)["incomplete"] == hits.incomplete


@pytest.mark.fault("4.5.3")
def test_a_search_that_ran_out_of_time_is_incomplete() -> None:
    shards = {"total": 2, "successful": 2, "skipped": 0, "failed": 0}
    assert shortfall({"_shards": shards, "timed_out": False}) is None
    assert shortfall({"_shards": shards, "timed_out": True}) == "it ran out of time"
    failed = {**shards, "successful": 1, "failed": 1, "failures": [{"reason": {"reason": "disk is gone"}}]}
    assert shortfall({"_shards": failed, "timed_out": False}) == "1 of 2 shards did not answer (disk is gone)"


def test_hits_are_a_sequence(client: OpenSearch, objects: str) -> None:
    hits = ClientSearch(client, objects, lambda _: Words()).search(SearchRequest([TEXT], size=3))
    assert isinstance(hits[0], Hit)
    assert [*hits][1:] == list(hits[1:])
    assert len(hits) == 3
