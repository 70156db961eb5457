"""The commands, with a real cluster of each line and the stand-in for Dashboards."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch
from roles import owner, put

from sorce.cli import command
from sorce.cluster import connect
from sorce.dashboards.cluster import users
from sorce.dashboards.rules import problems
from sorce.engine import Node
from sorce.errors import DashboardsError
from sorce.plugin.cluster.role import role
from tests.kit.corpus import Corpus
from tests.kit.dashboards import StandIn, standing_in
from tests.kit.place import Place


@pytest.fixture(scope="module")
def index(client: OpenSearch) -> Iterator[str]:
    name = f"test-dashboards-{uuid.uuid4().hex[:8]}"
    Corpus().load(client, name)
    yield name
    client.indices.delete(index=name)


@pytest.fixture
def surroundings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command("dashboards"), arguments, standalone_mode=False)


@pytest.mark.usefixtures("surroundings")
def test_build_writes_what_an_import_takes(index: str) -> None:
    done = run("build", "--index", index, "--page", "https://photos.example/")
    assert done.exit_code == 0
    assert problems(done.stdout_bytes) == []
    lines = [json.loads(line) for line in done.stdout_bytes.splitlines()]
    titles = {line["attributes"]["title"] for line in lines if line["type"] == "dashboard"}
    assert titles == {f"sorce: photos of {index}", f"sorce: runs of {index}", f"sorce: quality ({index})"}
    assert {f"{index}: aisle", f"{index}: shop"} <= {line["attributes"]["title"] for line in lines}


@pytest.mark.usefixtures("surroundings")
def test_install_status_and_uninstall(index: str, client: OpenSearch) -> None:
    there = StandIn(policy="img-src 'self' data:")
    with standing_in(there) as url:
        place = ("--index", index, "--dashboards-url", url)
        done = run("install", *place, "--page", "https://photos.example")
        assert done.exit_code == 0, done.output
        # The local engines have no Index State Management.
        assert "has no Index State Management" in done.stderr
        assert index in users(client)
        done = run("status", *place, "--page", "https://photos.example", "--json")
        said = {each["check"]: each["problem"] for each in json.loads(done.stdout)}
        assert done.return_value == 1
        assert said["saved objects"] is None
        assert said["run log"] is None
        assert "run `sorce plugin install" in said["pipeline of the query bar"]
        assert said["pictures"] == (
            "the grid shows none until opensearch_dashboards.yml has "
            "'csp.allowedImgSources: [\"https://photos.example\"]' "
            "and 'vis_type_vega.enableExternalUrls: true' and Dashboards is restarted."
        )
        there.policy, there.external_urls = None, True
        assert "ok     pictures" in run("status", *place, "--page", "https://photos.example").output
        done = run("uninstall", *place)
        assert done.exit_code == 0
    assert there.objects == {}
    assert index not in users(client)


@pytest.mark.usefixtures("surroundings")
def test_without_dashboards_nothing_is_made(index: str, client: OpenSearch) -> None:
    done = run("install", "--index", index, "--dashboards-url", "http://127.0.0.1:1")
    assert isinstance(done.exception, DashboardsError)
    assert index not in users(client)


def test_the_role_dashboards_is_enough(secured: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = StandIn()
    name, password = f"test-dashboards-{uuid.uuid4().hex[:8]}", secrets.token_urlsafe(24)
    with connect(secured.url, owner(secured)) as client:
        Corpus().load(client, name)
        put(client, f"roles/{name}", role("dashboards", name))
        put(client, f"internalusers/{name}", {"password": password, "opendistro_security_roles": [name]})
        (tmp_path / "password").write_text(password)
        mine = {"OPENSEARCH_USERNAME": name, "OPENSEARCH_PASSWORD_FILE": str(tmp_path / "password")}
        for variable, value in (secured.environment | mine).items():
            monkeypatch.setenv(variable, value)
        with standing_in(there) as url:
            for act in ("install", "uninstall"):
                done = run(act, "--index", name, "--dashboards-url", url)
                assert done.exit_code == 0, done.exception
        client.indices.delete(index=name)
    assert there.objects == {}
