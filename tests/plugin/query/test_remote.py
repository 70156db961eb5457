"""The texts of a search by a running service: compared with the index's probe, and without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from PIL import Image

from sorce.cli import sorce as command
from sorce.cluster import find_index
from sorce.errors import PluginError, QueryError
from sorce.index import Index, open_index
from sorce.mappings import probe
from sorce.mappings.index import index_body
from sorce.mappings.request import SearchRequest
from sorce.plugin.cluster.endpoint import Endpoint, parse
from sorce.plugin.query.remote import RemoteTexts, remote_texts
from sorce.plugin.query.search import ClientSearch
from sorce.plugin.service import app as service
from tests.kit.corpus import RECIPE, Corpus, Words
from tests.kit.fake import FakeModel
from tests.kit.place import Place
from tests.kit.serving import serving

ASKED = SearchRequest(["a red cup"], size=5)


@pytest.fixture(scope="module")
def probed(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    """The corpus, in an index that keeps the probe of its model."""
    name = f"test-remote-{uuid.uuid4().hex[:8]}"
    body = index_body(RECIPE, {"index.number_of_replicas": 0})
    body["mappings"]["_meta"]["sorce"]["probe"] = probe.to_text(Words().embed_texts([probe.TEXT])[0])
    client.indices.create(index=name, body=body)
    corpus.fill(client, name, RECIPE)
    yield name
    client.indices.delete(index=name)


def test_the_hits_are_those_of_the_model_itself(client: OpenSearch, probed: str, encoder_url: str) -> None:
    found = find_index(client, probed)
    remote = ClientSearch(client, found, lambda _: remote_texts(encoder_url, found)).search(ASKED)
    here = ClientSearch(client, found, lambda _: Words()).search(ASKED)
    assert [(hit.photo_id, hit.box) for hit in remote] == [(hit.photo_id, hit.box) for hit in here]
    assert [hit.score for hit in remote] == pytest.approx([hit.score for hit in here], abs=1e-5)


def test_a_service_of_another_model_is_refused(client: OpenSearch, probed: str) -> None:
    other = service.application(service.Served(RECIPE.model, Words("another")))
    with serving(other) as url, pytest.raises(PluginError, match="encodes texts differently from the index's model"):
        remote_texts(url, find_index(client, probed))


def test_a_service_of_longer_vectors_is_refused_with_the_command_that_serves_the_index(
    client: OpenSearch, probed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Endpoint, "embed_texts", lambda _, texts: np.ones((len(texts), 768), np.float32))
    with pytest.raises(
        PluginError, match=r"vectors of 768 numbers .*; serve it by the index: sorce serve --index NAME"
    ):
        remote_texts("http://127.0.0.1:1", find_index(client, probed))


def test_an_index_without_a_probe_is_refused(client: OpenSearch, index: str, encoder_url: str) -> None:
    with pytest.raises(PluginError, match=f"index '{index}' holds no probe"):
        remote_texts(encoder_url, find_index(client, index))


def test_a_picture_is_refused_with_a_sentence() -> None:
    remote = RemoteTexts.__new__(RemoteTexts)
    with pytest.raises(QueryError, match="encodes texts only"):
        remote.embed_images([Image.new("RGB", (8, 8))])


@pytest.mark.parametrize("number", [0.0, np.nan, np.inf])
def test_a_service_that_gives_no_unit_vectors_is_refused(monkeypatch: pytest.MonkeyPatch, number: float) -> None:
    monkeypatch.setattr(Endpoint, "embed_texts", lambda _, texts: np.full((len(texts), 3), number, np.float32))
    with pytest.raises(PluginError, match="cannot be used: a vector is zero or not finite; see its log"):
        RemoteTexts(parse("http://127.0.0.1:1", "model", None), 3).embed_texts(["a kite"])


@pytest.mark.fault("4.s.14")
@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (2, 4)])
def test_a_service_that_gives_too_few_vectors_or_others_is_refused(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    monkeypatch.setattr(Endpoint, "embed_texts", lambda *_: np.ones(shape, np.float32))
    with pytest.raises(PluginError, match="answers 2 texts with numbers of shape"):
        RemoteTexts(parse("http://127.0.0.1:1", "model", None), 3).embed_texts(["a kite", "a dog"])


@pytest.mark.parametrize("by_option", [True, False])
def test_the_command_does_not_import_torch(place: Place, probed: str, encoder_url: str, by_option: bool) -> None:
    given = ["search", "a red cup", "--index", probed, "--url", place.url, "--json"]
    given += ["--encoder", encoder_url] if by_option else []
    code = f"import sys; from sorce.cli import sorce; sorce({given!r}, standalone_mode=False)\n"
    code += "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    environment = {**os.environ, **place.environment} | ({} if by_option else {"SORCE_ENCODER": encoder_url})
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"photo_id"' in done.stdout


def test_an_ingest_keeps_the_probe_of_its_model(client: OpenSearch, tmp_path: Path) -> None:
    name, model = f"test-remote-{uuid.uuid4().hex[:8]}", FakeModel()
    Image.effect_noise((64, 64), 80).convert("RGB").save(tmp_path / "photo.jpg")
    try:
        Index(client, name, lambda: model).ingest([tmp_path])
        kept = find_index(client, name).probe
    finally:
        client.indices.delete(index=name, params={"ignore_unavailable": "true"})
    assert kept is not None
    np.testing.assert_allclose(kept, model.embed_texts([probe.TEXT])[0], atol=1e-3)


@pytest.mark.parametrize(
    "text", [None, 3, "no base64!", probe.to_text(np.zeros(4, np.float32)), probe.to_text(np.ones(3))]
)
def test_a_probe_that_is_none_is_none(text: object) -> None:
    assert probe.from_text(text, 4) is None


def test_a_program_names_the_service_as_the_command_does(place: Place, probed: str, encoder_url: str) -> None:
    def here(_: object) -> Words:
        raise AssertionError("a model is loaded")

    with open_index(probed, place.url, access=place.access, encoder=encoder_url) as index:
        index._load_encoder = here
        hits = index.search(ASKED)
        assert hits == Index(index.client, probed, FakeModel, lambda _: Words()).search(ASKED)
        with pytest.raises(QueryError, match="encodes texts only"):
            index.search(Image.new("RGB", (9, 9)))
    with (
        serving(service.application(service.Served(RECIPE.model, Words("another")))) as other,
        open_index(probed, place.url, access=place.access, encoder=other) as index,
        pytest.raises(PluginError, match="encodes texts differently from the index's model"),
    ):
        index.search("a red cup")


def test_a_service_and_the_cluster_cannot_both_encode(place: Place, probed: str) -> None:
    asked = ["search", "a red cup", "--server", "--index", probed]
    done = CliRunner().invoke(command, [*asked, "--encoder", "http://127.0.0.1:9"], env=dict(place.environment))
    assert (done.exit_code, "leave --encoder out" in done.output) == (2, True)
    # What the environment says is for searches that the client encodes.
    other = CliRunner().invoke(command, asked, env={**place.environment, "SORCE_ENCODER": "http://127.0.0.1:9"})
    assert isinstance(other.exception, PluginError)
    assert "nothing is installed" in str(other.exception)
