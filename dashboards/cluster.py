"""What `sorce dashboards` makes in the cluster: how the indices of the run log are mapped, and when they are deleted.

Both are shared by all indices. The template's `_meta` lists who installed them, and the last one takes them away.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.mappings.run_log import MAPPINGS, PATTERNS, RUNS, log_body

Json = dict[str, Any]

POLICY = RUNS
"""The name of the policy of Index State Management (ISM), and of the templates with `-` and the kind."""

KEPT_DAYS = 90
USERS = "sorce_users"
NO_ISM = "no handler found"


def policy() -> Json:
    """The ISM policy: an index of the run log is deleted when it is KEPT_DAYS old. It applies to new indices."""
    delete = {"state_name": "deleted", "conditions": {"min_index_age": f"{KEPT_DAYS}d"}}
    return {
        "policy": {
            "description": "Made by sorce: the log of its runs ages.",
            "default_state": "kept",
            "states": [
                {"name": "kept", "actions": [], "transitions": [delete]},
                {"name": "deleted", "actions": [{"delete": {}}], "transitions": []},
            ],
            "ism_template": [{"index_patterns": list(PATTERNS), "priority": 100}],
        }
    }


def template(kind: str, users: list[str]) -> Json:
    """The index template of RUNS or REJECTS."""
    return {
        "index_patterns": [f"{kind}-*"],
        "priority": 100,
        "template": log_body(kind),
        "_meta": {USERS: users},
    }


def add_log(client: OpenSearch, user: str) -> str | None:
    """Makes templates and policy for this user of theirs. Returns why there is no policy, if the cluster has no ISM."""
    users = sorted({*_users(client), user})
    for kind in MAPPINGS:
        client.indices.put_index_template(name=kind, body=template(kind, users))
    return _put_policy(client)


def remove_log(client: OpenSearch, user: str) -> None:
    """Takes the user off the list; without users, templates and policy are removed. The logged runs stay."""
    before = _users(client)
    left = [each for each in before if each != user]
    if not before:
        return
    for kind in MAPPINGS:
        if left:
            client.indices.put_index_template(name=kind, body=template(kind, left))
        else:
            with suppress(exceptions.NotFoundError):
                client.indices.delete_index_template(name=kind)
    if not left:
        _delete_policy(client)


def has_log(client: OpenSearch, user: str) -> bool:
    return user in _users(client)


def _users(client: OpenSearch) -> list[str]:
    try:
        found = client.indices.get_index_template(name=RUNS)["index_templates"]
    except exceptions.NotFoundError:
        return []
    return list(found[0]["index_template"].get("_meta", {}).get(USERS, []))


def _delete_policy(client: OpenSearch) -> None:
    try:
        client.transport.perform_request("DELETE", f"/_plugins/_ism/policies/{POLICY}")
    except exceptions.NotFoundError:
        return
    except exceptions.TransportError as error:
        _without_ism(error)


def _put_policy(client: OpenSearch) -> str | None:
    path = f"/_plugins/_ism/policies/{POLICY}"
    try:
        there: Json = client.transport.perform_request("GET", path)
        params = {"if_seq_no": there["_seq_no"], "if_primary_term": there["_primary_term"]}
    except exceptions.NotFoundError:
        params = {}
    except exceptions.TransportError as error:
        return _without_ism(error)
    try:
        client.transport.perform_request("PUT", path, params=params, body=policy())
    except exceptions.TransportError as error:
        return _without_ism(error)
    return None


def _without_ism(error: exceptions.TransportError) -> str:
    """A sentence for a cluster without ISM. Raises any other error."""
    if error.status_code != 400 or NO_ISM not in str(error.error):
        raise error
    return "this cluster has no Index State Management: delete old indices of the run log yourself."
