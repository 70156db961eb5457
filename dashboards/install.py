"""Puts the saved objects into OpenSearch Dashboards, says whether they work there, and takes them away again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sorce.dashboards.objects import Ids, SavedObject, ndjson
from sorce.dashboards.rules import refuse_broken
from sorce.dashboards.server import Dashboards, Key
from sorce.errors import DashboardsError

Json = dict[str, Any]

COMPARED = ("title", "description", "timeFieldName", "fieldFormatMap")
"""What no migration of Dashboards rewrites. The description holds a hash of all the rest."""

UNSUPPORTED = "unsupported_type"


def install(dashboards: Dashboards, ids: Ids, objects: Sequence[SavedObject]) -> list[Key]:
    """Imports the objects, and reads each one back. Returns what an earlier install left and this one removed.

    A second run overwrites. Raises DashboardsError for an object that breaks a rule, and where the import failed,
    whatever its answer says.
    """
    content = ndjson(objects)
    refuse_broken(content)
    answer = dashboards.import_objects(content)
    if answer.get("success") is not True or answer.get("errors"):
        raise DashboardsError(_refusal(answer.get("errors") or []))
    if lost := [key for key, problem in wrong_objects(dashboards, objects).items() if problem]:
        raise DashboardsError(
            f"OpenSearch Dashboards said that it imported {len(objects)} objects, but {len(lost)} are not there as "
            f"sent ({_named(lost)}); see its log, and run the same command again."
        )
    kept = {(each.type, each.id) for each in objects}
    stale = [key for key in installed(dashboards, ids) if key not in kept]
    for key in stale:
        dashboards.delete(key)
    return stale


def wrong_objects(dashboards: Dashboards, objects: Sequence[SavedObject]) -> dict[Key, str | None]:
    """For each object what is wrong with the one that is there; None if it is as built."""
    return {(each.type, each.id): _wrong(each, dashboards.get((each.type, each.id))) for each in objects}


def installed(dashboards: Dashboards, ids: Ids) -> list[Key]:
    """What is there under this index's ids, panels before what they read."""
    return [key for key in dashboards.find() if ids.made(key[1])]


def uninstall(dashboards: Dashboards, ids: Ids) -> list[Key]:
    """Removes all of this index's objects, and nothing else. Returns them."""
    found = installed(dashboards, ids)
    for key in found:
        dashboards.delete(key)
    if left := installed(dashboards, ids):
        raise DashboardsError(f"{_named(left)} could not be removed; run the same command again.")
    return found


def _wrong(sent: SavedObject, there: Json | None) -> str | None:
    if there is None:
        return "is missing"
    attributes = there.get("attributes", {})
    if any(attributes.get(name) != sent.attributes[name] for name in COMPARED if name in sent.attributes):
        return "was changed, or made by another version of sorce"
    named = {(each.get("name"), each.get("type"), each.get("id")) for each in there.get("references", [])}
    missing = {(each.name, each.type, each.id) for each in sent.references} - named
    return "refers to other objects" if missing else None


def _refusal(errors: Sequence[Json]) -> str:
    reasons = [each.get("error") for each in errors]
    kinds = {each.get("type") if isinstance(each, dict) else None for each in reasons}
    if kinds == {UNSUPPORTED}:
        return (
            "OpenSearch Dashboards refuses objects of types that it has (unsupported_type), as 3.7.0 does "
            "(OpenSearch-Dashboards 12201); upgrade it, or import the file of `sorce dashboards build` by hand."
        )
    said = "; ".join(f"{each.get('type')} {each.get('id')}: {json.dumps(each.get('error'))}" for each in errors[:3])
    return f"OpenSearch Dashboards imported nothing: {said or 'it gave no reason'}."


def _named(keys: Sequence[Key]) -> str:
    shown = ", ".join(f"{kind} {name}" for kind, name in keys[:3])
    return shown if len(keys) <= 3 else f"{shown} and {len(keys) - 3} more"
