"""The main tasks over TLS, by users who have the rights of the shipped roles and no others."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from opensearchpy import exceptions
from roles import ALIAS, INDEX, OTHERS, ROLLED, Bench, asked, bench, owner, refused, wrong

from sorce.cli import sorce as command
from sorce.cluster import connect
from sorce.engine import Node
from sorce.plugin.cluster.role import ROLES, role


@pytest.fixture(scope="module")
def there(secured: Node) -> Iterator[Bench]:
    with bench(secured) as there:
        yield there
        # No role may delete the indices, so the owner does.
        with connect(secured.url, owner(secured)) as client:
            client.indices.delete(
                index=",".join((INDEX, f"{ALIAS}-*", f"{ROLLED}-*", *OTHERS)), params={"ignore_unavailable": "true"}
            )


@pytest.mark.long
@pytest.mark.fault("10.1.1")
def test_each_role_may_what_it_must_and_nothing_else(there: Bench) -> None:
    assert wrong(there) == []


def test_only_a_403_of_the_server_is_taken_for_a_refusal(there: Bench) -> None:
    def fails(*_: object) -> None:
        raise ValueError("403")

    index = f"{INDEX}-00112233"
    with connect(there.node.url, owner(there.node)) as client:
        client.indices.create(index=index)
    malformed = asked("GET", f"/{index}/_search", {"403": 1})
    try:
        for act, error in ((fails, ValueError), (malformed, exceptions.RequestError)):
            with pytest.raises(error, match="403"):
                refused(act, "search", there)
    finally:
        with connect(there.node.url, owner(there.node)) as client:
            client.indices.delete(index=index)


@pytest.mark.parametrize("name", ROLES)
def test_the_command_prints_a_role_for_an_index(name: str) -> None:
    printed = CliRunner().invoke(command, ["plugin", "role", name, "--index", "shop.2"]).stdout
    assert json.loads(printed) == role(name, "shop.2")
    # The role ingest also lets its user write the log of runs, which all indices share.
    permission = json.loads(printed)["index_permissions"][0]
    assert permission["index_patterns"] == ["shop.2", r"/shop\.2-([0-9]{6}|[0-9a-f]{8})/"]


@pytest.mark.parametrize("name", ROLES)
def test_a_role_names_each_right_by_itself(name: str) -> None:
    """No group that a later version could widen, and no star over rights, but for the phases of one action."""
    body = role(name, "photos")
    of_indices = [right for permission in body["index_permissions"] for right in permission["allowed_actions"]]
    given = [*body["cluster_permissions"], *of_indices]
    assert all(right.count(":") >= 1 for right in given)
    assert {right for right in given if "*" in right} <= {"indices:admin/refresh*", "indices:data/write/bulk*"}
