"""Status says what is broken in an installation, and another install mends it. One installation serves all tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import version
from sorce.mappings.names import Names, User
from sorce.mappings.query import Version
from sorce.plugin import ClientSearch, SearchRequest
from sorce.plugin.cluster.allow_list import PRIVATE, TRUSTED
from sorce.plugin.cluster.endpoint import Endpoint, parse
from sorce.plugin.cluster.install import install
from sorce.plugin.cluster.installed import DEFAULT_PIPELINE
from sorce.plugin.cluster.ml_commons import MlCommons
from sorce.plugin.cluster.template import template
from tests.kit.corpus import RECIPE, Words
from tests.plugin.cluster.test_install import neural, problems, settings


@pytest.fixture
def endpoint(encoder_url: str) -> Endpoint:
    return parse(encoder_url, RECIPE.model, None)


def test_neural_needs_no_model_id(client: OpenSearch, installed: str) -> None:
    hits = ClientSearch(client, installed, lambda _: Words()).search(SearchRequest(["a kite"], size=5))
    assert neural(client, installed, "a kite") == [hit.photo_id for hit in hits]


def test_a_second_install_keeps_what_works(client: OpenSearch, installed: str, endpoint: Endpoint) -> None:
    ml, trusted = MlCommons(client), settings(client)
    models = ml.find("models").keys()
    install(client, installed, endpoint, Words())
    assert ml.find("models").keys() == models
    assert settings(client) == trusted


def _break_settings(client: OpenSearch, index: str) -> None:  # noqa: ARG001
    client.cluster.put_settings(body={"persistent": {TRUSTED: ["^https://elsewhere/$"], PRIVATE: False}})


def _break_template(client: OpenSearch, index: str) -> None:
    client.delete_script(id=Names(index).search)


def _break_pipeline(client: OpenSearch, index: str) -> None:
    client.transport.perform_request("DELETE", f"/_search/pipeline/{Names(index).search}")


def _break_bar(client: OpenSearch, index: str) -> None:
    client.transport.perform_request("DELETE", f"/_search/pipeline/{Names(index).bar}")


def _break_default(client: OpenSearch, index: str) -> None:
    client.indices.put_settings(index=index, body={DEFAULT_PIPELINE: None})


def _break_models(client: OpenSearch, index: str) -> None:
    users: list[User] = ["template", "neural"]
    for user in users:
        for model in MlCommons(client).find("models", Names(index).model(user)):
            MlCommons(client).delete_model(model)


def _break_version(client: OpenSearch, index: str) -> None:
    older = version(client) < Version(3, 1)
    source = template(Version(3, 6) if older else Version(2, 19), RECIPE)
    client.put_script(id=Names(index).search, body={"script": {"lang": "mustache", "source": source}})


def _break_connector(client: OpenSearch, index: str) -> None:
    """Somebody's model of the same name, with a connector that lies beside it."""
    ml, name = MlCommons(client), Names(index).search
    [(model, source)] = ml.find("models", name).items()
    ml.delete_model(model)
    body = {**source["connector"], "credential": {"key": "none"}}
    made = client.plugins.ml.create_connector(body=body)
    body = {"name": name, "function_name": "remote", "model_group_id": source["model_group_id"], **made}
    client.plugins.ml.register_model(body=body)


BROKEN: dict[str, tuple[Callable[[OpenSearch, str], None], str, str]] = {
    "settings": (_break_settings, "cluster settings", "is not among the cluster's trusted endpoints"),
    "template": (_break_template, "template and its pipeline", "nothing is installed"),
    "template of another version": (_break_version, "template and its pipeline", "for another OpenSearch"),
    "pipeline": (_break_pipeline, "template and its pipeline", "nothing is installed"),
    "pipeline of the bar": (_break_bar, "pipeline of Dashboards' query bar", "is missing or another one"),
    "default pipeline": (_break_default, "default pipeline", "is not set"),
    "connector": (_break_connector, "connectors", "has no connector of its own"),
    "models": (_break_models, "model of neural", "there are 0 models"),
}


@pytest.mark.parametrize(("damage", "step", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_status_says_what_is_broken_and_install_mends_it(
    client: OpenSearch, installed: str, endpoint: Endpoint, damage: Any, step: str, said: str
) -> None:
    assert problems(client, installed) == {}
    before = client.cluster.get_settings(params={"flat_settings": "true"})["persistent"]
    try:
        damage(client, installed)
        wrong = problems(client, installed)
        assert said in str(wrong[step])
        assert "sorce plugin install" in str(wrong[step])
        install(client, installed, endpoint, Words())
        assert problems(client, installed) == {}
    finally:
        if damage is _break_settings:
            client.cluster.put_settings(body={"persistent": {name: before.get(name) for name in (TRUSTED, PRIVATE)}})
            install(client, installed, endpoint, Words())
        for connector in MlCommons(client).find("connectors", Names(installed).search):
            client.plugins.ml.delete_connector(connector_id=connector, ignore=409)
