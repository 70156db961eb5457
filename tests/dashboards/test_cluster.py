"""The policy of the run log: its form, and what is asked of Index State Management, which no local engine has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from opensearchpy import exceptions

from sorce.dashboards.cluster import KEPT_DAYS, POLICY, add_log, policy, remove_log
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
        self.policies: dict[str, Json] = {}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.refuses = refuses
        self.transport = SimpleNamespace(perform_request=self._ism)
        self.indices = SimpleNamespace(
            put_index_template=lambda name, body: self.templates.update({name: body}),
            get_index_template=self._template,
            delete_index_template=lambda name: self.templates.pop(name),
        )

    def _template(self, name: str) -> Json:
        if name not in self.templates:
            raise exceptions.NotFoundError(404, "none", {})
        return {"index_templates": [{"index_template": self.templates[name]}]}

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
    assert cluster.policies == cluster.templates == {}


@pytest.mark.parametrize("act", [add_log, remove_log])
def test_a_user_who_may_not_is_told(act: Any) -> None:
    cluster: Any = Cluster()
    add_log(cluster, "photos")
    cluster.refuses = 403
    with pytest.raises(exceptions.TransportError):
        act(cluster, "photos")
