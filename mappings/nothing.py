"""Explains an empty result: one request finds which condition left no region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sorce.mappings.conditions import Condition, Json
from sorce.mappings.request import SearchRequest

_SHOWN = 5
"""How many kinds and folders are named as examples."""


def nothing_body(conditions: Sequence[Condition]) -> Json:
    """Counts the regions that meet each condition, and those that also meet all conditions before it."""
    clauses = [each.clause for each in conditions]
    alone = {str(place): clause for place, clause in enumerate(clauses)}
    together = {str(place): {"bool": {"filter": clauses[: place + 1]}} for place in range(len(clauses))}
    counted: Json = {
        "kinds": {"terms": {"field": "regions.kind", "size": _SHOWN}},
        "folders": {"terms": {"field": "regions.folder", "size": _SHOWN}},
    }
    if clauses:
        counted |= {"alone": {"filters": {"filters": alone}}, "together": {"filters": {"filters": together}}}
    return {
        "size": 0,
        "track_total_hits": False,
        "aggs": {"regions": {"nested": {"path": "regions"}, "aggs": counted}},
    }


def why_nothing(answer: Mapping[str, Any], conditions: Sequence[Condition], index: str, request: SearchRequest) -> str:
    """A sentence that names the cause of the empty result, from the answer to `nothing_body`."""
    regions = answer["aggregations"]["regions"]
    if not regions["doc_count"]:
        return f"'{index}' holds no photos"
    alone, together = (_counts(regions, name) for name in ("alone", "together"))
    for condition, count in zip(conditions, alone, strict=True):
        if not count:
            return f"no photo in '{index}' meets the condition: {condition.label}{_there(condition, regions)}"
    for place, count in enumerate(together):
        if not count:
            said = "; ".join(each.label for each in conditions[: place + 1])
            return f"no photo in '{index}' meets these conditions together: {said}"
    if request.start:
        return after_first(request)
    least = request.min_similarity
    if least is not None:
        return f"no box that the conditions allow has a similarity of {least:g} or more; lower --min-similarity"
    return "no photo has a box for each phrase that meets the conditions"


def after_first(request: SearchRequest) -> str:
    """What is said of a later page that is empty."""
    return f"no photo is left after the first {request.start}"


def _counts(regions: Mapping[str, Any], name: str) -> list[int]:
    buckets = regions.get(name, {}).get("buckets", {})
    return [buckets[str(place)]["doc_count"] for place in range(len(buckets))]


def _there(condition: Condition, regions: Mapping[str, Any]) -> str:
    name = {"kind": "kinds", "folder": "folders"}.get(condition.label.split(" ", 1)[0])
    if name is None:
        return ""
    seen = ", ".join(repr(bucket["key"]) for bucket in regions[name]["buckets"])
    return f" ({name} there: {seen}{' ...' if len(regions[name]['buckets']) == _SHOWN else ''})"
