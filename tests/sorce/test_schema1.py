"""Indices made by sorce 0.1.0 (tests/schema1) still work: they are searched, updated, and moved behind an alias."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch, helpers

from sorce.cli import sorce as command
from sorce.errors import IndexMissing
from sorce.ingest.encode import Encode
from sorce.mappings.found import SCHEMA, FoundIndex
from sorce.models import load_encoder
from sorce.plugin.service.app import Served, application
from tests.kit.place import Place
from tests.kit.serving import serving

FIXTURE = Path(__file__).parents[1] / "schema1"
CLIP = FIXTURE / "clip"
METHODS = ("tiles", "whole", "clusters")

Run = Callable[..., Result]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command, as a person gives it."""
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    return lambda *words: CliRunner().invoke(command, list(map(str, words)), standalone_mode=False)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The photos of the fixture, where a test may change them."""
    return Path(shutil.copytree(FIXTURE / "photos", tmp_path / "photos"))


@pytest.fixture(params=METHODS)
def index(request: pytest.FixtureRequest, client: OpenSearch) -> Iterator[str]:
    """An index as 0.1.0 left it."""
    name = f"test-schema1-{uuid.uuid4().hex[:8]}"
    frozen = json.loads((FIXTURE / f"{request.param}.json").read_text())
    client.indices.create(index=name, body=frozen["body"])
    actions = [{"_index": name, "_id": each["photo_id"], "_source": each} for each in frozen["documents"]]
    helpers.bulk(client, actions, refresh=True)
    yield name
    client.indices.delete(index=f"{name},{name}-*", ignore_unavailable=True)


def documents(client: OpenSearch, index: str) -> dict[str, dict[str, Any]]:
    client.indices.refresh(index=index)
    found = client.search(index=index, body={"size": 100, "query": {"match_all": {}}})["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in found}


def vectors(documents: dict[str, dict[str, Any]]) -> np.ndarray[Any, Any]:
    return np.array([region["vec"] for _, each in sorted(documents.items()) for region in each["regions"]], np.float32)


def best(documents: dict[str, dict[str, Any]], text: str) -> list[tuple[str, float]]:
    """What numpy finds: each photo's best cosine, best first."""
    [query] = load_encoder(str(CLIP), "cpu").embed_texts([text])
    cosines = {
        each["uri"]: float(max(np.array([region["vec"] for region in each["regions"]]) @ query))
        for each in documents.values()
    }
    return sorted(cosines.items(), key=lambda pair: -pair[1])


def searched(run: Run, index: str, *options: str) -> list[tuple[str, float]]:
    result = run("search", "a red square", "--index", index, "--model", CLIP, "--device", "cpu", "--json", *options)
    assert result.exception is None, result.output
    said = json.loads(result.stdout)
    hits = said["hits"] if isinstance(said, dict) else said
    return [(hit["uri"], hit["matches"][0][0]["similarity"]) for hit in hits]


def ingest(run: Run, photos: Path, *options: str | Path) -> dict[str, Any]:
    result = run("ingest", photos, "--root", photos, "--model", CLIP, "--device", "cpu", "--json", *options)
    assert result.exception is None, result.output
    report: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return report


def test_it_is_searched_as_it_is(run: Run, client: OpenSearch, index: str) -> None:
    wanted = best(documents(client, index), "a red square")
    found = searched(run, index)
    assert [uri for uri, _ in found] == [uri for uri, _ in wanted]
    assert [score for _, score in found] == pytest.approx([score for _, score in wanted], abs=1e-5)


def test_the_next_ingest_fills_the_new_fields_and_encodes_nothing(
    run: Run, client: OpenSearch, index: str, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a photo was encoded")

    monkeypatch.setattr(Encode, "__call__", fail)
    before = documents(client, index)
    ingest(run, photos, "--index", index)
    after = documents(client, index)
    assert np.array_equal(vectors(after), vectors(before))
    [meta] = [body["mappings"]["_meta"]["sorce"] for body in client.indices.get_mapping(index=index).values()]
    assert meta["schema"] == SCHEMA
    assert {each["attributes"]["source"] for each in after.values()} == {"archive"}
    assert all(each["recipe_hash"] and each["modified_at"] for each in after.values())
    days = {each["uri"]: each.get("taken_on") for each in after.values()}
    assert days["a.jpg"] == "2024-12-31"
    assert {region.get("taken_on") for each in after.values() for region in each["regions"]} == {"2024-12-31", None}
    again = ingest(run, photos, "--index", index)
    assert (again["unchanged"], again["new"], again["changed"]) == (5, 0, 0)


def test_it_takes_a_new_photo(run: Run, client: OpenSearch, index: str, photos: Path) -> None:
    shutil.copy(photos / "a.jpg", photos / "f.jpg")
    report = ingest(run, photos, "--index", index)
    assert report["new"] == 1
    assert len(documents(client, index)) == 6


def test_the_cluster_encodes_its_searches(run: Run, client: OpenSearch, index: str) -> None:
    with serving(application(Served("folder", load_encoder(str(CLIP), "cpu")))) as url:
        installed = run("plugin", "install", "--index", index, "--encoder", url, "--model", CLIP, "--device", "cpu")
        assert installed.exception is None, installed.output
        try:
            wanted = best(documents(client, index), "a red square")
            assert [uri for uri, _ in searched(run, index, "--server")] == [uri for uri, _ in wanted]
        finally:
            run("plugin", "uninstall", "--index", index)


def test_an_alias_moves_from_it_and_attributes_move_along(
    run: Run, client: OpenSearch, index: str, photos: Path
) -> None:
    alias = f"{index}-photos"
    client.indices.put_alias(index=index, name=alias)
    options = ["--regions", "tiles", "--min-object-size", "0.3", "--max-regions", "6"]
    report = ingest(run, photos, "--alias", alias, *options)
    assert report["new"] == 5
    assert list(client.indices.get_alias(name=alias)) == [report["index"]]
    assert report["index"] != index
    moved = documents(client, report["index"])
    assert {each["attributes"]["source"] for each in moved.values()} == {"archive"}
    assert {each["attributes"]["aisle"] for each in moved.values()} == {3}


@pytest.fixture
def newer(client: OpenSearch) -> Iterator[str]:
    """An index that a later sorce could have made: its recipe has a field that this one does not know."""
    name = f"test-schema3-{uuid.uuid4().hex[:8]}"
    body = json.loads((FIXTURE / "whole.json").read_text())["body"]
    ours = body["mappings"]["_meta"]["sorce"]
    ours |= {"schema": SCHEMA + 1, "recipe": {**ours["recipe"], "precision": "int4"}}
    client.indices.create(index=name, body=body)
    yield name
    client.indices.delete(index=name)


@pytest.mark.parametrize(
    "words",
    [
        ["search", "a red square", "--index"],
        ["ingest", str(FIXTURE / "photos"), "--index"],
        ["ingest", str(FIXTURE / "photos"), "--dry-run", "--index"],
        ["plugin", "status", "--index"],
        ["index", "info"],
    ],
    ids=["search", "ingest", "rehearsal", "plugin", "info"],
)
def test_a_newer_schema_is_refused(run: Run, newer: str, words: list[str]) -> None:
    wanted = f"index '{newer}' has schema {SCHEMA + 1}, and this sorce knows schemas up to {SCHEMA}; upgrade sorce."
    assert str(run(*words, newer).exception) == wanted


@pytest.mark.parametrize("schema", [0, -1, True, "2", 2.0, None])
def test_a_malformed_schema_is_refused(schema: object) -> None:
    body = json.loads((FIXTURE / "whole.json").read_text())["body"]
    body["mappings"]["_meta"]["sorce"]["schema"] = schema
    with pytest.raises(IndexMissing, match="the schema of index 'photos' is malformed"):
        FoundIndex.of("photos", {"photos": {"mappings": body["mappings"], "settings": {"index.uuid": "x"}}})
