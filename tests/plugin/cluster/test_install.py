"""Install makes only what is needed, repairs it, and leaves no trace; status says what is wrong."""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from sorce.cli import sorce as command
from sorce.cluster import find_index
from sorce.errors import IndexMissing, PluginError
from sorce.ingest.alias import switch
from sorce.mappings.names import Names
from sorce.plugin import SearchRequest, ServerSearch
from sorce.plugin.cluster.allow_list import TRUSTED
from sorce.plugin.cluster.endpoint import Endpoint, parse, parse_localiser
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.installed import DEFAULT_PIPELINE, get_pipeline
from sorce.plugin.cluster.locate import install_located
from sorce.plugin.cluster.ml_commons import MlCommons
from sorce.plugin.cluster.status import status
from sorce.plugin.service import app as service
from tests.kit.corpus import RECIPE, Corpus, Words
from tests.kit.place import Place
from tests.kit.serving import serving

ORDINARY = {"query": {"term": {"camera": "Canon"}}, "size": 5, "sort": ["file_name"]}


@pytest.fixture
def endpoint(encoder_url: str) -> Endpoint:
    return parse(encoder_url, RECIPE.model, None)


@pytest.fixture
def clean(client: OpenSearch, index: str) -> Iterator[str]:
    """The index, from which the plugin is taken away again after the test."""
    yield index
    uninstall(client, index)


@pytest.fixture
def installed(client: OpenSearch, clean: str, endpoint: Endpoint) -> str:
    """The index, with the plugin installed for this test only."""
    install(client, clean, endpoint, Words())
    return clean


@pytest.fixture
def second(client: OpenSearch, corpus: Corpus) -> Iterator[str]:
    name = f"test-plugin-{uuid.uuid4().hex[:8]}"
    corpus.load(client, name)
    yield name
    uninstall(client, name)
    client.indices.delete(index=name)


def settings(client: OpenSearch) -> Any:
    return client.cluster.get_settings(params={"flat_settings": "true"})


def of_sorce(client: OpenSearch, index: str) -> dict[str, list[str]]:
    """What the cluster holds that carries the index's name."""
    ml = MlCommons(client)
    metadata = client.cluster.state(metric="metadata")["metadata"]
    found = {kind: [it["name"] for it in ml.find(kind).values()] for kind in ("connectors", "models", "model_groups")}
    found["pipelines"] = list(client.transport.perform_request("GET", "/_search/pipeline", params={"ignore": 404}))
    found["scripts"] = list(metadata.get("stored_scripts", {}))
    return {kind: sorted(name for name in names if index in name) for kind, names in found.items()}


def problems(client: OpenSearch, index: str) -> dict[str, str | None]:
    return {step.name: step.problem for step in status(client, index, Words(), None) if not step.works}


def neural(client: OpenSearch, index: str, text: str) -> list[str]:
    query = {"neural": {"regions.vec": {"query_text": text, "k": 5}}}
    body = {"size": 5, "_source": False, "query": {"nested": {"path": "regions", "score_mode": "max", "query": query}}}
    return [hit["_id"] for hit in client.search(index=index, body=body)["hits"]["hits"]]


def test_uninstall_leaves_the_cluster_as_it_was(client: OpenSearch, clean: str, endpoint: Endpoint) -> None:
    before, answer = settings(client), client.search(index=clean, body=ORDINARY)["hits"]
    install(client, clean, endpoint, Words())
    name = Names(clean).search
    assert of_sorce(client, clean) == {
        "connectors": [],
        "models": [name, f"{name}:neural"],
        "model_groups": [name],
        "pipelines": [name, f"{name}:bar", f"{name}:default"],
        "scripts": [name],
    }
    assert client.search(index=clean, body=ORDINARY)["hits"] == answer
    uninstall(client, clean)
    assert settings(client) == before
    assert not any(of_sorce(client, clean).values())
    assert DEFAULT_PIPELINE not in client.indices.get_settings(index=clean, flat_settings=True)[clean]["settings"]
    uninstall(client, clean)


def test_uninstall_after_a_move_leaves_no_index_without_its_pipeline(
    client: OpenSearch, corpus: Corpus, endpoint: Endpoint
) -> None:
    alias = f"test-plugin-{uuid.uuid4().hex[:8]}"
    indices = [f"{alias}-{number * 8}" for number in "12"]
    for index in indices:
        corpus.load(client, index)
    try:
        switch(client, alias, indices[0], None)
        install(client, alias, endpoint, Words())
        assert switch(client, alias, indices[1], None) == indices[0]
        uninstall(client, alias)
        for index in indices:
            assert client.search(index=index, body=ORDINARY)["hits"]["hits"]
            assert find_index(client, index).default_pipeline is None
    finally:
        uninstall(client, alias)
        client.indices.delete(index=",".join(indices))


def test_another_encoder_replaces_the_first(client: OpenSearch, installed: str, endpoint: Endpoint) -> None:
    with serving(service.application(service.Served(RECIPE.model, Words()))) as url:
        other = parse(url, RECIPE.model, None)
        install(client, installed, other, Words())
        assert ServerSearch(client, installed).search(SearchRequest(["a kite"]))
        trusted = settings(client)["persistent"][TRUSTED]
        assert other.pattern in trusted
        assert endpoint.pattern not in trusted
        assert problems(client, installed) == {}


def test_two_indices_share_what_they_trust(client: OpenSearch, clean: str, second: str, endpoint: Endpoint) -> None:
    before = settings(client)
    install(client, clean, endpoint, Words())
    install(client, second, endpoint, Words())
    uninstall(client, clean)
    assert ServerSearch(client, second).search(SearchRequest(["a kite"]))
    uninstall(client, second)
    assert settings(client) == before


def test_what_others_trust_stays(client: OpenSearch, clean: str, endpoint: Endpoint) -> None:
    before = settings(client)["persistent"].get(TRUSTED)
    client.cluster.put_settings(body={"persistent": {TRUSTED: ["^https://elsewhere/$"]}})
    try:
        install(client, clean, endpoint, Words())
        assert settings(client)["persistent"][TRUSTED] == ["^https://elsewhere/$", endpoint.pattern]
        uninstall(client, clean)
        assert settings(client)["persistent"][TRUSTED] == ["^https://elsewhere/$"]
    finally:
        client.cluster.put_settings(body={"persistent": {TRUSTED: before}})


def test_another_model_is_refused_and_changes_nothing(client: OpenSearch, clean: str, endpoint: Endpoint) -> None:
    before = settings(client)
    with pytest.raises(PluginError, match=r"encodes texts differently from the index's model \(cosine"):
        install(client, clean, endpoint, Words(turn="other"))
    assert settings(client) == before
    assert not any(of_sorce(client, clean).values())


def test_another_default_pipeline_is_not_replaced(client: OpenSearch, clean: str, endpoint: Endpoint) -> None:
    name = f"theirs-{clean}"
    client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body={"request_processors": []})
    client.indices.put_settings(index=clean, body={DEFAULT_PIPELINE: name})
    try:
        with pytest.raises(PluginError, match=f"has '{name}' as its default search pipeline"):
            install(client, clean, endpoint, Words())
        uninstall(client, clean)
        assert client.indices.get_settings(index=clean, flat_settings=True)[clean]["settings"][DEFAULT_PIPELINE] == name
    finally:
        client.indices.put_settings(index=clean, body={DEFAULT_PIPELINE: None})
        client.transport.perform_request("DELETE", f"/_search/pipeline/{name}")


def test_no_encoder_or_no_index_is_a_sentence(client: OpenSearch, clean: str, endpoint: Endpoint) -> None:
    nobody = parse("http://127.0.0.1:9", RECIPE.model, None)
    with pytest.raises(PluginError, match="no encoder answers at http"):
        install(client, clean, nobody, Words())
    with pytest.raises(IndexMissing, match="there is no index 'nope'"):
        install(client, "nope", endpoint, Words())


def test_a_key_reaches_the_encoder_and_a_wrong_one_is_a_sentence(client: OpenSearch, clean: str) -> None:
    with serving(service.application(service.Served(RECIPE.model, Words(), "secret"))) as url:
        with pytest.raises(PluginError, match=r"refused \(401\)"):
            install(client, clean, parse(url, RECIPE.model, "wrong"), Words())
        install(client, clean, parse(url, RECIPE.model, "secret"), Words())
        assert ServerSearch(client, clean).search(SearchRequest(["a kite"]))
        shown = MlCommons(client).find("models", Names(clean).search)
        assert "Bearer" in str(shown)
        assert "secret" not in str(shown)


def test_status_without_an_encoder_names_it(client: OpenSearch, clean: str) -> None:
    with serving(service.application(service.Served(RECIPE.model, Words()))) as url:
        install(client, clean, parse(url, RECIPE.model, None), Words())
    wrong = problems(client, clean)
    assert f"no encoder answers at {url}" in str(wrong["encoder"])
    assert {"connectors", "cluster settings"}.isdisjoint(wrong)


@pytest.mark.fault("12.7.1")
def test_status_with_nothing_installed_is_one_sentence(client: OpenSearch, index: str) -> None:
    with pytest.raises(PluginError, match=f"nothing is installed in the cluster to encode searches of '{index}'; run"):
        status(client, index, Words(), None)


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:8100", "ftp://x", "http://", "http://[h", "http://h/?a=b", "http://h/${x}"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(PluginError, match="is not an encoder's address"):
        parse(address, "m", None)


@pytest.mark.parametrize(
    "address",
    [
        "http://u:topsecret@h",
        "http://:topsecret@h",
        "http://topsecret@h/",
        "http://@h",
        "u:topsecret@h:8100",
        "http://u:topsecret@[h",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(PluginError, match=r"holds a user or a password; .* set SORCE_API_KEY") as refused:
        parse(address, "m", None)
    assert "topsecret" not in "".join(traceback.format_exception(refused.value))


def test_the_pattern_allows_the_encoder_and_nothing_else() -> None:
    endpoint = parse("http://127.0.0.1:8100", "m", None)
    assert endpoint.url == "http://127.0.0.1:8100/v1/embeddings"
    assert endpoint.pattern == r"^http://127\.0\.0\.1:8100/v1/embeddings$"
    assert parse("https://h:1/api/embed/", "m", None).url == "https://h:1/api/embed"


def test_status_names_the_processor_that_this_opensearch_lacks(
    client: OpenSearch, place: Place, installed: str, encoder_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own refusal of a type that it does not have."""
    monkeypatch.setattr("sorce.plugin.cluster.locate.RERANK", "rerank_by_sight")
    monkeypatch.setattr("sorce.plugin.cluster.commands.load_encoder", lambda *_: Words())
    done = CliRunner().invoke(command, ["plugin", "status", "--index", installed], env=dict(place.environment))
    [*steps, note] = done.stdout.splitlines()
    assert (done.exit_code, {step[:5] for step in steps}) == (0, {"ok   "}), done.output
    assert note.startswith("note   processors that look again (install --locate): this OpenSearch cannot")
    assert "Invalid processor type rerank_by_sight" in note
    endpoint = parse(encoder_url, RECIPE.model, None)
    with pytest.raises(PluginError, match="Invalid processor type rerank_by_sight"):
        install_located(client, find_index(client, installed), parse_localiser("", endpoint))
    assert get_pipeline(client, Names(installed).located) is None
