"""What `sorce dashboards` makes in the cluster: how the indices of the run log are mapped, and when they are deleted.

Both are shared by all indices. Each index that uses them has an entry of its own, an empty component template, so that
two `install` at the same moment do not overwrite each other's. The last user takes templates and policy away.
"""

from __future__ import annotations

import hashlib
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.mappings.run_log import MAPPINGS, PATTERNS, RUNS, log_body

Json = dict[str, Any]

POLICY = RUNS
"""The name of the policy of Index State Management (ISM), and of the templates with `-` and the kind."""

KEPT_DAYS = 90
USER = "sorce_user"
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


def template(kind: str) -> Json:
    """The index template of RUNS or REJECTS."""
    return {"index_patterns": [f"{kind}-*"], "priority": 100, "template": log_body(kind)}


def add_log(client: OpenSearch, user: str) -> str | None:
    """Makes templates and policy for this user of theirs. Returns why there is no policy, if the cluster has no ISM."""
    # The entry first: who removes the last other entry at this moment then finds this one.
    client.cluster.put_component_template(name=_entry(user), body={"template": {}, "_meta": {USER: user}})
    return _put_log(client)


def remove_log(client: OpenSearch, user: str) -> None:
    """Removes the user's entry; without users, templates and policy are removed. The logged runs stay."""
    if user not in users(client):
        return
    client.cluster.delete_component_template(name=_entry(user), params={"ignore": 404})
    if users(client):
        return
    for kind in MAPPINGS:
        client.indices.delete_index_template(name=kind, params={"ignore": 404})
    _delete_policy(client)
    if users(client):
        # Another `install` came after the first look, and may have written before the removal.
        _put_log(client)


def has_log(client: OpenSearch, user: str) -> bool:
    return user in users(client) and all(client.indices.exists_index_template(name=kind) for kind in MAPPINGS)


def users(client: OpenSearch) -> list[str]:
    """Who uses the templates and the policy."""
    try:
        found = client.cluster.get_component_template(name=f"{RUNS}:*")["component_templates"]
    except exceptions.NotFoundError:
        return []
    named = (each["component_template"].get("_meta", {}).get(USER) for each in found)
    # Others may have made one under such a name, too.
    return sorted(name for name in named if isinstance(name, str))


def _entry(user: str) -> str:
    """The name of the user's component template. It may hold no capital letters and no spaces; a tenant's name does."""
    return f"{RUNS}:{hashlib.sha256(user.encode()).hexdigest()[:16]}"


def _put_log(client: OpenSearch) -> str | None:
    for kind in MAPPINGS:
        client.indices.put_index_template(name=kind, body=template(kind))
    return _put_policy(client)


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
    except exceptions.ConflictError:
        return None  # Another `install` wrote the same policy just now.
    except exceptions.TransportError as error:
        return _without_ism(error)
    return None


def _without_ism(error: exceptions.TransportError) -> str:
    """A sentence for a cluster without ISM. Raises any other error."""
    if error.status_code != 400 or NO_ISM not in str(error.error):
        raise error
    return "this cluster has no Index State Management: delete old indices of the run log yourself."
