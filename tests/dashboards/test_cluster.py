"""The policy of the run log: its form, and what is asked of Index State Management, which no local engine has."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from opensearchpy import OpenSearch, exceptions

from sorce.dashboards.cluster import KEPT_DAYS, POLICY, add_log, has_log, policy, remove_log, users
from sorce.mappings.run_log import PATTERNS, REJECTS, RUNS

Json = dict[str, Any]

PATH = f"/_plugins/_ism/policies/{POLICY}"


def wrong(body: Json) -> list[str]:
    """What the documentation of ISM policies does not allow (docs.opensearch.org, im-plugin/ism/policies)."""
    [(name, given)] = body.items()
    found = [] if name == "policy" else ["the policy is not in 'policy'"]
    found += [f"{each} is missing" for each in {"description", "default_state", "states"} - given.keys()]
    states = {state["name"]: state for state in given.get("states", [])}
    if given.get("default_state") not in states:
        found.append("the default state is none of the states")
    for state in states.values():
        found += [f"{each} is no part of a state" for each in state.keys() - {"name", "actions", "transitions"}]
        found += ["an action has one name" for action in state["actions"] if len(action) != 1]
        for transition in state["transitions"]:
            if transition["state_name"] not in states:
                found.append("a transition leads to no state")
            age = transition["conditions"].get("min_index_age", "")
            if len(transition["conditions"]) != 1 or not re.fullmatch(r"[1-9]\d*[dhms]", age):
                found.append("a condition is no age")
    for each in given.get("ism_template", []):
        if not each["index_patterns"] or each["priority"] < 0:
            found.append("the template has no patterns or no priority")
    return found


def test_the_policy_has_the_documented_form() -> None:
    body = policy()
    assert wrong(body) == []
    [template] = body["policy"]["ism_template"]
    assert template["index_patterns"] == list(PATTERNS)
    assert body["policy"]["states"][0]["transitions"][0]["conditions"] == {"min_index_age": f"{KEPT_DAYS}d"}
    assert body["policy"]["states"][1]["actions"] == [{"delete": {}}]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda body: body["policy"].pop("description"), "description is missing"),
        (lambda body: body["policy"].update(default_state="x"), "the default state is none of the states"),
        (lambda body: body["policy"]["states"].pop(), "a transition leads to no state"),
        (
            lambda body: body["policy"]["states"][0]["transitions"][0].update(conditions={"min_index_age": "90"}),
            "a condition is no age",
        ),
    ],
)
def test_the_check_of_the_form_refuses(spoil: Any, said: str) -> None:
    body = policy()
    spoil(body)
    assert said in wrong(body)


class Cluster:
    """Index templates and policies as a cluster with ISM keeps them; `refuses` is the status of all ISM's answers."""

    def __init__(self, refuses: int | None = None) -> None:
        self.templates: dict[str, Json] = {}
        self.entries: dict[str, Json] = {}
        self.policies: dict[str, Json] = {}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.refuses = refuses
        self.transport = SimpleNamespace(perform_request=self._ism)
        self.indices = SimpleNamespace(
            put_index_template=lambda name, body: self.templates.update({name: body}),
            exists_index_template=lambda name: name in self.templates,
            delete_index_template=lambda name, params: self.templates.pop(name, None),  # noqa: ARG005
        )
        self.cluster = SimpleNamespace(
            put_component_template=lambda name, body: self.entries.update({name: body}),
            get_component_template=self._entries,
            delete_component_template=lambda name, params: self.entries.pop(name, None),  # noqa: ARG005
        )

    def _entries(self, name: str) -> Json:
        found = fnmatch.filter(self.entries, name)
        if not found:
            raise exceptions.NotFoundError(404, "none", {})
        return {"component_templates": [{"name": each, "component_template": self.entries[each]} for each in found]}

    def _ism(self, method: str, path: str, params: Mapping[str, Any] | None = None, body: Json | None = None) -> Json:
        self.asked.append((method, params or {}))
        if self.refuses is not None:
            raise exceptions.TransportError(self.refuses, "no permissions", {})
        if method == "PUT" and body is not None:
            self.policies[path] = body
        elif path not in self.policies:
            raise exceptions.NotFoundError(404, "none", {})
        if method == "DELETE":
            del self.policies[path]
        return {"_seq_no": 7, "_primary_term": 2}


def test_a_policy_is_made_replaced_and_removed_by_its_last_user() -> None:
    cluster: Any = Cluster()
    assert add_log(cluster, "photos") is None
    assert cluster.policies == {PATH: policy()}
    assert set(cluster.templates) == {RUNS, REJECTS}
    assert add_log(cluster, "others") is None
    # A policy that is there is replaced only with its number, which the documentation wants.
    assert cluster.asked[-1] == ("PUT", {"if_seq_no": 7, "if_primary_term": 2})
    remove_log(cluster, "photos")
    assert cluster.policies == {PATH: policy()}
    remove_log(cluster, "others")
    assert cluster.policies == cluster.templates == cluster.entries == {}


@pytest.mark.fault("4.s.12")
def test_an_entry_that_somebody_else_made_is_nobodys() -> None:
    cluster: Any = Cluster()
    add_log(cluster, "photos")
    cluster.entries |= {f"{RUNS}:mine": {"template": {}}, f"{RUNS}:odd": {"template": {}, "_meta": {"sorce_user": 5}}}
    assert users(cluster) == ["photos"]
    remove_log(cluster, "photos")
    assert not cluster.templates


def test_two_installs_at_once_lose_neither(index: str, client: OpenSearch) -> None:
    names = [f"{index}-{number} in Global" for number in range(6)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: add_log(client, name), names))
    assert set(names) <= set(users(client))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: remove_log(client, name), names))
    assert not set(names) & set(users(client))


def test_an_install_during_the_last_uninstall_keeps_its_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Cluster()
    add_log(cluster, "photos")
    remove = cluster.indices.delete_index_template

    def install_first(name: str, params: Json) -> None:
        monkeypatch.setattr(cluster.indices, "delete_index_template", remove)
        add_log(cluster, "others")
        remove(name, params)

    monkeypatch.setattr(cluster.indices, "delete_index_template", install_first)
    remove_log(cluster, "photos")
    assert has_log(cluster, "others")
    assert cluster.policies == {PATH: policy()}


def test_two_installs_that_write_the_policy_at_once_are_both_done() -> None:
    cluster: Any = Cluster()
    add_log(cluster, "photos")
    ask = cluster.transport.perform_request

    def conflict(method: str, *given: Any, **more: Any) -> Json:
        if method == "PUT":
            raise exceptions.ConflictError(409, "version_conflict_engine_exception", {})
        answer: Json = ask(method, *given, **more)
        return answer

    cluster.transport.perform_request = conflict
    assert add_log(cluster, "others") is None


@pytest.mark.parametrize("act", [add_log, remove_log])
def test_a_user_who_may_not_is_told(act: Any) -> None:
    cluster: Any = Cluster()
    add_log(cluster, "photos")
    cluster.refuses = 403
    with pytest.raises(exceptions.TransportError):
        act(cluster, "photos")
