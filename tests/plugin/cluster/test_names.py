"""Installed objects of different indices never have the same name, and a pattern is not accepted as a name."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from sorce.cli import sorce as command
from sorce.cluster import find_index
from sorce.errors import IndexNameError, PluginError
from sorce.mappings.names import Names, check_alias_name
from sorce.plugin import SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import Endpoint, parse
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.cluster.installed import set_default_pipeline
from sorce.plugin.cluster.ml_commons import NEURAL, MlCommons, connector_body
from sorce.plugin.cluster.role import ROLES, role
from sorce.plugin.cluster.status import status
from tests.kit.corpus import RECIPE, Corpus, Words
from tests.plugin.cluster.test_install import neural, of_sorce, problems

NO_NAMES = ["flat*", "*", "<x-{now/d}>", "", "Photos", "a,b", "-photos", "_all", "photos?", "a/b", "a:b"]


@pytest.fixture
def endpoint(encoder_url: str) -> Endpoint:
    return parse(encoder_url, RECIPE.model, None)


@pytest.fixture
def three(client: OpenSearch, corpus: Corpus) -> Iterator[tuple[str, str, str]]:
    """Indices with names that 0.1.0 confused: what it made for the first had the names of the others' templates."""
    first = f"test-names-{uuid.uuid4().hex[:8]}"
    names = (first, f"{first}-default", f"{first}-neural")
    for name in names:
        corpus.load(client, name)
    yield names
    for name in names:
        uninstall(client, name)
        client.indices.delete(index=name, params={"ignore_unavailable": "true"})


def install_by_old_names(client: OpenSearch, index: str, endpoint: Endpoint) -> None:
    """As 0.1.0 installs: other names, and a record without a state."""
    install(client, index, endpoint, Words())
    names, ml = Names(index), MlCommons(client)
    [group] = ml.find("model_groups", names.search)
    model = ml.deploy(names.old_neural, connector_body(names.old_neural, NEURAL, endpoint), group)
    pipeline = client.search_pipeline.get(id=names.default)[names.default]
    description = pipeline["description"].replace(', "state": "installed"', "")
    processors = [{"neural_query_enricher": {"default_model_id": model}}]
    body = {"description": description, "request_processors": processors}
    client.search_pipeline.put(id=names.old_default, body=body)
    set_default_pipeline(client, index, names.old_default)
    client.search_pipeline.delete(id=names.default)
    for new in ml.find("models", names.model("neural")):
        ml.delete_model(new)
    assert neural(client, index, "a kite")
    assert "state" not in description


@pytest.mark.long
@pytest.mark.fault("1.3.1")
def test_three_indices_of_near_names_are_installed_and_uninstalled_apart(
    client: OpenSearch, three: tuple[str, str, str], endpoint: Endpoint
) -> None:
    for name in three:
        install(client, name, endpoint, Words())
    assert [problems(client, name) for name in three] == [{}, {}, {}]
    assert len({made for names in of_sorce(client, three[0]).values() for made in names}) == 12
    uninstall(client, three[1])
    uninstall(client, three[2])
    assert problems(client, three[0]) == {}


@pytest.mark.long
@pytest.mark.fault("1.3.2")
def test_install_replaces_the_names_that_0_1_0_gave(
    client: OpenSearch, three: tuple[str, str, str], endpoint: Endpoint
) -> None:
    first, names = three[0], Names(three[0])
    install_by_old_names(client, first, endpoint)
    with pytest.raises(PluginError, match=rf"was named by sorce 0\.1\.0 \(such as '{names.old_default}'\); run `sorce"):
        status(client, first, Words(), None)
    install(client, first, endpoint, Words())
    assert of_sorce(client, first) == {
        "connectors": [],
        "models": [names.search, f"{names.search}:neural"],
        "model_groups": [names.search],
        "pipelines": [names.search, names.bar, f"{names.search}:default"],
        "scripts": [names.search],
    }
    assert problems(client, first) == {}


@pytest.mark.long
@pytest.mark.fault("1.3.3")
def test_uninstall_takes_the_old_names_away_and_not_those_of_another_index(
    client: OpenSearch, three: tuple[str, str, str], endpoint: Endpoint
) -> None:
    first, default, other = three
    install_by_old_names(client, first, endpoint)
    with pytest.raises(PluginError, match=f"is the default of index '{first}', as sorce 0.1.0 named it"):
        install(client, default, endpoint, Words())
    install(client, other, endpoint, Words())
    for name in (default, other):
        uninstall(client, name)
    assert neural(client, first, "a kite")
    assert ServerSearch(client, first).search(SearchRequest(["a kite"]))
    install(client, other, endpoint, Words())
    uninstall(client, first)
    assert problems(client, other) == {}
    assert find_index(client, first).default_pipeline is None
    uninstall(client, other)
    assert not any(of_sorce(client, first).values())


@pytest.mark.long
@pytest.mark.fault("1.s.1")
def test_uninstall_works_where_the_index_is_gone(
    client: OpenSearch, three: tuple[str, str, str], endpoint: Endpoint
) -> None:
    first = three[0]
    install(client, first, endpoint, Words())
    client.indices.delete(index=first)
    uninstall(client, first)
    assert not any(of_sorce(client, first).values())


@pytest.mark.fault("1.1.1")
@pytest.mark.parametrize("name", NO_NAMES)
def test_no_function_takes_a_pattern_for_an_index(client: OpenSearch, endpoint: Endpoint, name: str) -> None:
    with pytest.raises(IndexNameError):
        uninstall(client, name)
    with pytest.raises(IndexNameError):
        install(client, name, endpoint, Words())
    with pytest.raises(IndexNameError):
        status(client, name, Words(), None)


@pytest.mark.fault("1.2.1")
@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("kind", ROLES)
def test_no_role_is_for_a_pattern(kind: str, name: str) -> None:
    with pytest.raises(IndexNameError, match="cannot be the name of one index or alias"):
        role(kind, name)


@pytest.mark.fault("1.2.2")
@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize(
    "words",
    [
        ["plugin", "install", "--encoder", "http://127.0.0.1:9"],
        ["plugin", "status"],
        ["plugin", "uninstall"],
        ["plugin", "role", "search"],
        ["search", "a kite"],
    ],
    ids=" ".join,
)
def test_a_command_refuses_a_pattern_before_it_asks_a_cluster(words: list[str], name: str) -> None:
    url = [] if "role" in words else ["--url", "http://127.0.0.1:9"]
    refused = CliRunner().invoke(command, [*words, *url, "--index", name]).exception
    assert isinstance(refused, IndexNameError), refused
    assert str(refused).endswith("give one name in lower case, such as photos.")


@pytest.mark.fault("1.s.2")
@pytest.mark.parametrize("name", NO_NAMES)
def test_the_service_refuses_a_pattern_before_it_asks_a_cluster(name: str) -> None:
    refused = CliRunner().invoke(command, ["serve", "--url", "http://127.0.0.1:9", "--index", name]).exception
    assert isinstance(refused, IndexNameError), refused


@pytest.mark.fault("1.s.3")
def test_an_alias_too_long_for_the_names_of_its_indices_is_refused_before_a_cluster_is_asked(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.jpg").touch()
    words = ["ingest", str(tmp_path), "--url", "http://127.0.0.1:9", "--alias", "a" * 247]
    refused = CliRunner().invoke(command, words).exception
    assert isinstance(refused, IndexNameError), refused
    assert "is longer than 246 bytes" in str(refused)
    assert check_alias_name("a" * 246)
