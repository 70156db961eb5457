"""Visualizations of Dashboards' own editor, which follow the query bar, the filters and the time as usual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sorce.dashboards.objects import PanelForm

Json = dict[str, Any]


def count() -> Json:
    return _agg("count", "metric", {})


def metric(kind: str, field: str, label: str) -> Json:
    """`kind` is sum, avg, max or min."""
    return _agg(kind, "metric", {"field": field, "customLabel": label})


def by_time(field: str) -> Json:
    params = {"field": field, "interval": "auto", "drop_partials": False, "min_doc_count": 1, "extended_bounds": {}}
    return _agg("date_histogram", "segment", params)


def by_value(field: str, schema: str = "segment", size: int = 10, label: str | None = None) -> Json:
    """The values with the largest first metric. `schema` is segment (the axis), group (the series) or bucket (rows)."""
    params = {
        "field": field,
        "orderBy": "1",
        "order": "desc",
        "size": size,
        "otherBucket": False,
        "otherBucketLabel": "Other",
        "missingBucket": False,
        "missingBucketLabel": "Missing",
    }
    return _agg("terms", schema, params | ({} if label is None else {"customLabel": label}))


def _agg(kind: str, schema: str, params: Json) -> Json:
    return {"enabled": True, "type": kind, "schema": schema, "params": params}


def numbered(aggs: Sequence[Json]) -> list[Json]:
    """With the ids that the aggregations are known by: `1` is the first metric."""
    return [{"id": str(number), **each} for number, each in enumerate(aggs, 1)]


def table(*aggs: Json) -> PanelForm:
    params = {
        "perPage": 10,
        "showPartialRows": False,
        "showMetricsAtAllLevels": False,
        "showTotal": False,
        "totalFunc": "sum",
        "percentageCol": "",
    }
    return PanelForm("table", params, numbered(aggs))


def upright_bars(*aggs: Json, title: str) -> PanelForm:
    return _chart("histogram", "bottom", title, aggs)


def lying_bars(*aggs: Json, title: str) -> PanelForm:
    return _chart("horizontal_bar", "left", title, aggs)


def lines(*aggs: Json, title: str) -> PanelForm:
    return _chart("line", "bottom", title, aggs)


def _chart(kind: str, side: str, title: str, aggs: Sequence[Json]) -> PanelForm:
    found = numbered(aggs)
    drawn = "line" if kind == "line" else "histogram"
    labels = {"show": True, "truncate": 100, "filter": True}
    category = {"id": "CategoryAxis-1", "type": "category", "position": side, "show": True, "style": {}}
    axis = {"id": "ValueAxis-1", "name": "ValueAxis-1", "type": "value", "position": _opposite(side), "show": True}
    series = [
        {
            "show": True,
            "type": drawn,
            "mode": "normal" if drawn == "line" else "stacked",
            "data": {"label": each["params"].get("customLabel", title), "id": each["id"]},
            "valueAxis": "ValueAxis-1",
            "drawLinesBetweenPoints": True,
            "showCircles": True,
        }
        for each in found
        if each["schema"] == "metric"
    ]
    params = {
        "type": kind,
        "grid": {"categoryLines": False},
        "categoryAxes": [{**category, "scale": {"type": "linear"}, "labels": labels, "title": {}}],
        "valueAxes": [
            {
                **axis,
                "style": {},
                "scale": {"type": "linear", "mode": "normal"},
                "labels": {**labels, "filter": False},
                "title": {"text": title},
            }
        ],
        "seriesParams": series,
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": False,
        "labels": {},
        "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#34130C"},
    }
    return PanelForm(kind, params, found)


def _opposite(side: str) -> str:
    return "left" if side == "bottom" else "bottom"
