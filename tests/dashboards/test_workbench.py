"""The sample configuration for the Search Relevance Workbench: what it asks is what the stored template asks."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from sorce.cli import command
from sorce.dashboards.workbench import SEARCH_TEXT, search_configuration
from sorce.errors import PluginError
from tests.kit.place import Place


def test_it_gives_the_template_s_hits(
    client: OpenSearch, index: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    made = json.loads(CliRunner().invoke(command("dashboards"), ["workbench", "--index", index]).stdout)
    # The fields of the documentation; the query is JSON in a string.
    assert set(made) == {"name", "index", "query", "searchPipeline"}
    assert made["query"].count(SEARCH_TEXT) >= 1
    params = {"search_pipeline": made["searchPipeline"]}
    body = json.loads(made["query"].replace(SEARCH_TEXT, "a small fish"))
    found = client.search(index=made["index"], body=body, params=params)["hits"]["hits"]
    asked = {"id": f"sorce-{index}", "params": {"text": "a small fish"}}
    path = f"/{index}/_search/template"
    right = client.transport.perform_request("POST", path, params=params, body=asked)["hits"]["hits"]
    assert [hit["_id"] for hit in found] == [hit["_id"] for hit in right]
    assert len(found) == 10


def test_without_the_plugin_it_is_one_sentence(client: OpenSearch) -> None:
    with pytest.raises(PluginError, match="there is no template 'sorce-nothing-here'; run `sorce plugin install"):
        search_configuration(client, "nothing-here")
