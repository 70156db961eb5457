"""Vega specifications in the form that Dashboards takes: a search of the cluster as data, filters by a click.

Signals cannot change a search in Dashboards, so a question comes only from the query bar. Expressions hold nothing that
the check of Dashboards 3.8 refuses (`sorce.dashboards.rules`).
"""

from __future__ import annotations

import json
from typing import Any

from sorce.dashboards.objects import PanelForm

Json = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega/v5.json"
UNSEEN = r"[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
"""Control characters, and those that turn the direction of a text, as a regular expression of Vega."""

MAX_SHOWN = 200
"""Characters of a text in a tooltip or a caption."""

BLUE, GREY, RED = "#3b6ea8", "#7a7a7a", "#e0261b"


def vega_panel(spec: Json) -> PanelForm:
    return PanelForm("vega", {"spec": json.dumps(spec)})


def searched(index: str, body: Json) -> Json:
    """Data: the answer to this search. The time range is in the body."""
    return {"index": index, "body": body}


def field(name: str) -> Json:
    return {"field": name}


def value(given: Any) -> Json:
    return {"value": given}


def signal(expression: str) -> Json:
    return {"signal": expression}


def add_filter(clause: str, index: str) -> str:
    """An expression that adds a filter to the dashboard; `clause` is an expression, too."""
    return f"opensearchDashboardsAddFilter({clause}, {json.dumps(index)})"


def shown(text: str) -> str:
    """An expression for a text that anybody may have written: no control characters, none that turn it, not too long.

    Its markup is harmless: Vega draws text on a canvas, and Dashboards escapes tooltips.
    """
    return f"truncate(replace({text}, regexp('{UNSEEN}', 'g'), '\ufffd'), {MAX_SHOWN})"


def formula(name: str, expression: str) -> Json:
    return {"type": "formula", "as": name, "expr": expression}


def bars(index: str, body: Json, buckets: str, label: str, clicked: str | None = None) -> Json:
    """Horizontal bars, one per bucket of an aggregation, with its count.

    `buckets` is where the buckets are in the answer, `label` the expression of a bar's name. `clicked` is the clause,
    as an expression, of the filter that a click adds.
    """
    spec: Json = {
        "$schema": SCHEMA,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 5,
        "data": [
            {
                "name": "bars",
                "url": searched(index, body),
                "format": {"property": buckets},
                "transform": [formula("label", label)],
            }
        ],
        "scales": [
            {
                "name": "y",
                "type": "band",
                "domain": {"data": "bars", "field": "label"},
                "range": "height",
                "padding": 0.2,
            },
            {
                "name": "x",
                "domain": {"data": "bars", "field": "doc_count"},
                "range": "width",
                "zero": True,
                "nice": True,
            },
        ],
        "axes": [
            _names(),
            {"orient": "bottom", "scale": "x", "tickCount": 4, "format": "~s", "grid": True},
        ],
        "marks": [_bar(clicked is not None), _count()],
    }
    if clicked is not None:
        on = {"events": {"type": "click", "markname": "bar"}, "update": add_filter(clicked, index)}
        spec["signals"] = [{"name": "clicked", "on": [on]}]
    return spec


def _names() -> Json:
    drawn = {"labels": {"update": {"text": signal(shown("datum.label"))}}}
    return {"orient": "left", "scale": "y", "domain": False, "ticks": False, "labelLimit": 160, "encode": drawn}


def _bar(clickable: bool) -> Json:
    drawn = {
        "y": {"scale": "y", "field": "label"},
        "height": {"scale": "y", "band": 1},
        "x": {"scale": "x", "value": 0},
        "x2": {"scale": "x", "field": "doc_count"},
        "fill": value(BLUE),
        "cursor": value("pointer" if clickable else "default"),
        "tooltip": signal(f"{shown('datum.label')} + ': ' + format(datum.doc_count, ',')"),
    }
    return {"type": "rect", "name": "bar", "from": {"data": "bars"}, "encode": {"update": drawn}}


def _count() -> Json:
    drawn = {
        "y": {"scale": "y", "field": "label", "band": 0.5},
        "x": {"scale": "x", "field": "doc_count", "offset": 4},
        "text": signal("format(datum.doc_count, ',')"),
        "baseline": value("middle"),
        "fill": value(GREY),
    }
    return {"type": "text", "interactive": False, "from": {"data": "bars"}, "encode": {"update": drawn}}


def over_time(index: str, body: Json, buckets: str) -> Json:
    """Upright bars over time, one per bucket of an `auto_date_histogram`."""
    drawn = {
        "x": {"scale": "x", "field": "key"},
        "width": {"scale": "x", "band": 1},
        "y": {"scale": "y", "field": "doc_count"},
        "y2": {"scale": "y", "value": 0},
        "fill": value(BLUE),
        "tooltip": signal("utcFormat(datum.key, '%Y-%m-%d') + ': ' + format(datum.doc_count, ',')"),
    }
    labels = {"update": {"text": signal("utcFormat(datum.value, '%Y-%m-%d')")}}
    return {
        "$schema": SCHEMA,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 5,
        "data": [{"name": "bars", "url": searched(index, body), "format": {"property": buckets}}],
        "scales": [
            {
                "name": "x",
                "type": "band",
                "domain": {"data": "bars", "field": "key"},
                "range": "width",
                "padding": 0.1,
            },
            {"name": "y", "domain": {"data": "bars", "field": "doc_count"}, "range": "height", "zero": True},
        ],
        "axes": [
            {"orient": "left", "scale": "y", "tickCount": 4, "format": "~s", "grid": True},
            {"orient": "bottom", "scale": "x", "labelOverlap": True, "encode": {"labels": labels}},
        ],
        "marks": [{"type": "rect", "name": "bar", "from": {"data": "bars"}, "encode": {"update": drawn}}],
    }
