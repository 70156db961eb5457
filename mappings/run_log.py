"""The log of runs: one document for each `sorce ingest` and one for each reject, in indices by month."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

RUNS, REJECTS = "sorce-runs", "sorce-rejects"
PATTERNS = (f"{RUNS}-*", f"{REJECTS}-*")

RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"
"""The states of a run. One that was killed stays `running`."""

STUCK_MINUTES = 5
"""A run in the state `running` that was not updated for this long is stuck, or was killed."""

_KEYWORD = {"type": "keyword", "ignore_above": 8000}
_DATE, _LONG, _DOUBLE = {"type": "date"}, {"type": "long"}, {"type": "double"}

COUNTS = ("expected", "photos", "new", "changed", "unchanged", "rejected", "pruned", "others", "regions")
RATES = ("photos_per_second", "regions_per_second")
STAGES = ("decode", "encode", "write")
"""The stages whose seconds a run records."""

_RUN: Json = {
    **dict.fromkeys(("run", "index", "target", "host", "version", "state", "error"), _KEYWORD),
    **dict.fromkeys(("recipe", "recipe_hash", "model", "regions_method"), _KEYWORD),
    **dict.fromkeys(("started_at", "updated_at", "ended_at"), _DATE),
    **dict.fromkeys(COUNTS, _LONG),
    **dict.fromkeys(("seconds", *RATES), _DOUBLE),
    "seconds_by_stage": {"properties": dict.fromkeys(STAGES, _DOUBLE)},
    "rejects_by_reason": {"properties": {"reason": _KEYWORD, "count": _LONG}},
    "rejects_not_logged": _LONG,
}
_REJECT: Json = {**dict.fromkeys(("run", "index", "path", "folder", "reason", "said"), _KEYWORD), "at": _DATE}

MAPPINGS = {RUNS: _RUN, REJECTS: _REJECT}
"""The fields of each kind of index."""


def monthly(kind: str, at: datetime) -> str:
    """The index of RUNS or REJECTS for a moment: `sorce-runs-2026.11`, by UTC."""
    return f"{kind}-{at.astimezone(UTC):%Y.%m}"


def log_body(kind: str) -> Json:
    """Settings and mapping of such an index. An unknown field is kept, and not indexed."""
    return {
        "settings": {"index.number_of_shards": 1, "index.auto_expand_replicas": "0-1"},
        "mappings": {"dynamic": False, "properties": MAPPINGS[kind]},
    }
