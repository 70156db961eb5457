"""The results of `sorce evaluate --keep-results`: a document for each question and one for each metric of a recipe."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

QUALITY = "sorce-quality"
"""Its indices are by month, too (`sorce.mappings.run_log.monthly`). They are kept: nothing deletes them by age."""

QUESTION, METRIC = "question", "metric"

_KEYWORD = {"type": "keyword", "ignore_above": 8000}
_DOUBLE, _LONG = {"type": "double"}, {"type": "long"}

QUALITY_FIELDS: Json = {
    **dict.fromkeys(("kind", "evaluation", "benchmark", "how", "recipe", "recipe_hash"), _KEYWORD),
    "at": {"type": "date"},
    # Of a question: its text, the class of its largest object, where the first right photo stood (missing: nowhere).
    **dict.fromkeys(("question", "size", "summary"), _KEYWORD),
    **dict.fromkeys(("rank", "relevant"), _LONG),
    "found": _DOUBLE,
    # Of a metric: its mean over the questions, with its interval, and over how many values.
    "metric": _KEYWORD,
    **dict.fromkeys(("value", "low", "high"), _DOUBLE),
    "over": _LONG,
}


def quality_body() -> Json:
    """Settings and mapping of such an index."""
    return {
        "settings": {"index.number_of_shards": 1, "index.auto_expand_replicas": "0-1"},
        "mappings": {"dynamic": False, "properties": QUALITY_FIELDS},
    }
