"""Vectors that are cut by `--dimension`, from the command line to the hits of each kind of search."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch

from sorce.cli import sorce as command
from sorce.cluster import find_index
from sorce.errors import RecipeMismatch
from sorce.options import Cluster
from sorce.plugin.service import app as service
from sorce.plugin.service.opening import served
from tests.ingest.conftest import Draw
from tests.kit import families
from tests.kit.place import Place
from tests.kit.serving import serving

NUMBERS = 128
OF_PAGE = ("page", "base_path", "allow_origins", "show_paths", "pass_credentials", "cache")
"""Options of `sorce serve --page`, which are not given here."""


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of 256 numbers, which may be cut to 128."""
    return str(families.embedding_gemma2(tmp_path_factory.mktemp("families") / "gemma"))


@pytest.fixture
def name(client: OpenSearch, surroundings: None) -> Iterator[str]:  # noqa: ARG001
    name = f"test-cut-{uuid.uuid4().hex[:8]}"
    yield name
    client.indices.delete(index=f"{name}*", params={"ignore_unavailable": "true", "allow_no_indices": "true"})


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False, standalone_mode=False)


def ingested(folder: Path, gemma: str, *more: object) -> dict[str, Any]:
    given = ("--model", gemma, "--regions", "whole", "--device", "cpu", "--workers", "1", "--json", folder)
    report: dict[str, Any] = json.loads(run("ingest", *more, *given).stdout)
    return report


def stored_numbers(client: OpenSearch, name: str) -> int:
    """By the mapping."""
    [found] = client.indices.get_mapping(index=name).values()
    return int(found["mappings"]["properties"]["regions"]["properties"]["vec"]["dimension"])


def searched(name: str, *more: object) -> list[tuple[str, float]]:
    hits = json.loads(run("search", "a small red cup", "--index", name, "--json", *more).stdout)["hits"]
    return [(hit["photo_id"], pytest.approx(hit["score"], abs=1e-3)) for hit in hits]


def test_a_cut_index_takes_more_photos_and_is_searched_by_all_ways(
    client: OpenSearch, place: Place, name: str, gemma: str, folder: Path, draw: Draw
) -> None:
    assert ingested(folder, gemma, "--index", name, "--dimension", NUMBERS)["new"] == 5
    assert (find_index(client, name).recipe.dimension, stored_numbers(client, name)) == (NUMBERS, NUMBERS)
    draw("more.png")
    again = ingested(folder, gemma, "--index", name)
    assert (again["new"], again["unchanged"]) == (1, 5)
    with pytest.raises(RecipeMismatch, match=str(NUMBERS)):
        ingested(folder, gemma, "--index", name, "--dimension", 256)

    hits = searched(name, "--model", gemma)
    assert len(hits) == 6
    given = {"device": "cpu", "trust_remote_code": False, "locate": False, "roots": (), **dict.fromkeys(OF_PAGE)}
    by_index = served((name,), gemma, Cluster(place.url, insecure=False), **given)
    assert by_index.encoder.embed_texts(["a cup"]).shape == (1, NUMBERS)
    with serving(service.application(by_index)) as url:
        assert searched(name, "--encoder", url) == hits


def test_an_alias_moves_to_shorter_vectors(client: OpenSearch, name: str, gemma: str, folder: Path) -> None:
    whole = ingested(folder, gemma, "--alias", name)["index"]
    cut = ingested(folder, gemma, "--alias", name, "--dimension", NUMBERS)["index"]
    assert list(client.indices.get_alias(name=name)) == [cut]
    assert [stored_numbers(client, each) for each in (whole, cut)] == [256, NUMBERS]
    assert len(searched(name, "--model", gemma)) == 5
    assert ingested(folder, gemma, "--alias", name)["index"] == cut
