"""Commands and programs with a real OpenSearch with TLS and users. Its owner makes the users that a test needs."""

from __future__ import annotations

import logging
import os
import re
import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from opensearchpy import OpenSearch, exceptions
from roles import bring, owner, put

from sorce.access import Access
from sorce.cluster import connect, translate_errors
from sorce.engine import Node
from sorce.engine.certificates import Authority
from sorce.errors import ClusterError, PluginError
from sorce.models.notes import ON_MINI
from sorce.plugin.cluster.allow_list import AllowList
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.ml_commons import SEARCH, MlCommons, connector_body
from sorce.plugin.cluster.role import role

RUN = [sys.executable, "-c", "from sorce.cli import main; main()"]


@dataclass(frozen=True)
class There:
    """An index with photos, and a user who may search it."""

    index: str
    user: str
    password: str = secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def administrator(secured: Node) -> Iterator[OpenSearch]:
    with connect(secured.url, owner(secured)) as client:
        yield client


@pytest.fixture(scope="module")
def there(administrator: OpenSearch) -> Iterator[There]:
    index = f"test-secured-{uuid.uuid4().hex[:8]}"
    bring(administrator, index)
    there = There(index, f"user-of-{index}")
    put(administrator, f"roles/{index}", role("search", index))
    body = {"password": there.password, "opendistro_security_roles": [index]}
    put(administrator, f"internalusers/{there.user}", body)
    yield there
    administrator.indices.delete(index=index)


@pytest.fixture
def environment(secured: Node, there: There, tmp_path: Path) -> dict[str, str]:
    """As the user who may search."""
    (tmp_path / "password").write_text(there.password)
    mine = {"OPENSEARCH_USERNAME": there.user, "OPENSEARCH_PASSWORD_FILE": str(tmp_path / "password")}
    others = {name: value for name, value in os.environ.items() if not name.startswith(("OPENSEARCH_", "SORCE_"))}
    return others | secured.environment | mine


def sorce(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False, env=dict(environment))


@pytest.mark.long
def test_a_command_searches_over_tls(environment: dict[str, str], there: There) -> None:
    done = sorce(environment, "search", "an umbrella", "--index", there.index)
    assert (done.returncode, done.stderr) == (0, f"note: {ON_MINI}\n")
    assert done.stdout.startswith("rank")


WRONG = {
    "password": ({"OPENSEARCH_PASSWORD": "wrong"}, "does not know who asks (401); set OPENSEARCH_USERNAME and"),
    "nobody": ({"OPENSEARCH_USERNAME": "", "OPENSEARCH_PASSWORD": ""}, "does not know who asks (401)"),
    "token": (
        {"OPENSEARCH_TOKEN": "e30.e30.e30", "OPENSEARCH_USERNAME": "", "OPENSEARCH_PASSWORD": ""},
        "does not know who asks (401)",
    ),
    "authority": ({"OPENSEARCH_CA_FILE": ""}, "nobody known here signed its certificate; name its authority in"),
    "scheme": ({"OPENSEARCH_URL": "http"}, "hangs up; if it speaks TLS, write https://"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_one_sentence(
    environment: dict[str, str], there: There, change: dict[str, str], said: str
) -> None:
    if change.get("OPENSEARCH_URL") == "http":
        change = {"OPENSEARCH_URL": environment["OPENSEARCH_URL"].replace("https", "http")}
    done = sorce(
        {**environment, "OPENSEARCH_PASSWORD_FILE": "", "OPENSEARCH_PASSWORD": there.password} | change, "search", "x"
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr
    assert there.password not in done.stderr


PHOTO = str(Path(__file__).parents[1] / "schema1/photos/a.jpg")


@pytest.mark.fault("10.7.3")
@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        pytest.param(["ingest", "--model", "mini", PHOTO], r"no permissions for \[indices:", marks=pytest.mark.long),
        (["plugin", "uninstall"], r"no permissions for \[cluster:admin/search/pipeline/get\]"),
        (["search", "x", "--server"], "nothing is installed"),
    ],
)
def test_a_missing_right_is_one_sentence_with_the_remedy(
    environment: dict[str, str], there: There, arguments: list[str], right: str
) -> None:
    done = sorce(environment, *arguments, "--index", there.index)
    # mini prints its note on every ingest.
    said = [line for line in done.stderr.splitlines() if line.startswith("sorce: ") and "pictogram" not in line]
    assert (done.returncode, len(said)) == (1, 1)
    assert "Traceback" not in done.stderr
    assert re.search(right, said[0])
    if "installed" not in right:
        assert "may not do that on the cluster at https://127.0.0.1:" in said[0]
        assert "ask its administrator for one of the roles that `sorce plugin role` prints" in said[0]


@pytest.mark.long
@pytest.mark.fault("10.s.4")
def test_who_may_not_move_the_alias_is_told_before_the_first_photo(
    environment: dict[str, str], there: There, administrator: OpenSearch
) -> None:
    """Not after hours of encoding, when the alias is switched."""
    alias, password = f"{there.index}-alias", secrets.token_urlsafe(24)
    for kind in ("ingest", "alias"):
        put(administrator, f"roles/{alias}-{kind}", role(kind, alias))
    mine = {
        **environment,
        "OPENSEARCH_USERNAME": alias,
        "OPENSEARCH_PASSWORD": password,
        "OPENSEARCH_PASSWORD_FILE": "",
    }
    ingest = ("ingest", "--alias", alias, "--model", "mini", "--max-regions", "1", PHOTO)
    for roles, code in (("ingest",), 1), (("ingest", "alias"), 0):
        given = [f"{alias}-{kind}" for kind in roles]
        put(administrator, f"internalusers/{alias}", {"password": password, "opendistro_security_roles": given})
        done = sorce(mine, *ingest)
        assert done.returncode == code, done.stderr
        assert ("no permissions for [indices:admin/aliases]" in done.stderr) == (code == 1)
        assert administrator.indices.exists(index=alias) == (code == 0)
        assert bool(administrator.indices.get(index=f"{alias}-*")) == (code == 0)
    administrator.indices.delete(index=f"{alias}-*")


def test_insecure_is_loud_every_time(environment: dict[str, str], there: There) -> None:
    del environment["OPENSEARCH_CA_FILE"]
    for _ in range(2):
        # The quickest command that asks the cluster.
        done = sorce(environment, "plugin", "status", "--index", there.index, "--insecure")
        assert done.stderr.startswith("WARNING: --insecure: nobody checks that")
        assert done.stderr.count("WARNING") == 1


def test_a_client_certificate_is_enough(secured: Node, there: There, tmp_path: Path) -> None:
    """Of the owner, whom the node's authority signed; one that another authority signed is refused."""
    mine = owner(secured)
    assert mine.client_cert is not None
    with connect(secured.url, mine) as client:
        assert client.indices.exists(index=there.index)
    Authority("authority").issue("owner").write(tmp_path / "x.pem", tmp_path / "x.key")
    forged = Access(mine.ca_file, str(tmp_path / "x.pem"), str(tmp_path / "x.key"))
    with pytest.raises(ClusterError, match=r"refuses this client's certificate|does not know who asks"):
        connect(secured.url, forged)


def test_a_token_is_enough(secured: Node, there: There, administrator: OpenSearch) -> None:
    """One that the cluster gave to the user who may search, and that says no more than he may."""
    right = {"cluster_permissions": ["security:obo/create"]}
    put(administrator, f"roles/{there.index}-token", right)
    given = {"users": [there.user]}
    put(administrator, f"rolesmapping/{there.index}-token", given)
    body = {"description": "test", "service": "self-issued", "durationSeconds": "300"}
    with by_password(secured, there) as client:
        answer = client.transport.perform_request("POST", "/_plugins/_security/api/generateonbehalfoftoken", body=body)
    with connect(secured.url, Access(owner(secured).ca_file, token=answer["authenticationToken"])) as client:
        assert client.search(index=there.index)["hits"]["hits"]
        with pytest.raises(ClusterError, match=r"\(403\): no permissions"), translate_errors(secured.url):
            client.indices.delete(index=there.index)


def by_password(node: Node, there: There) -> OpenSearch:
    return connect(node.url, Access(owner(node).ca_file, username=there.user, password=there.password))


def test_no_log_holds_the_password(secured: Node, there: There, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with by_password(secured, there) as client:
        client.search(index=there.index)
        with pytest.raises(ClusterError), translate_errors(secured.url):
            client.indices.delete(index=there.index)
    assert "opensearch" in {record.name for record in caplog.records}
    assert there.password not in caplog.text


def test_an_owner_s_certificate_makes_no_models(administrator: OpenSearch) -> None:
    endpoint = parse("http://127.0.0.1:8199", "mini", None)
    trust, ml = AllowList(administrator), MlCommons(administrator)
    record, group = trust.record(endpoint), ml.create_group(f"hidden-{uuid.uuid4().hex[:8]}", "a test's")
    trust.add(endpoint)
    try:
        with pytest.raises(
            PluginError, match=r"is hidden from other users, .* run the command as a user with the role install"
        ):
            ml.deploy("hidden", connector_body("hidden", SEARCH, endpoint), group)
        with pytest.raises(exceptions.NotFoundError):
            administrator.transport.perform_request("GET", "/_plugins/_ml/models/hidden")
    finally:
        ml.delete_group(group)
        AllowList(administrator).tidy(record)
