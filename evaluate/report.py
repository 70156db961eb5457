"""The results of several recipes, as a table side by side and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sorce.evaluate.bootstrap import LEVEL, ROUNDS, SEED, Metric
from sorce.evaluate.run import IndexCost, RecipeResult

COSTS = ("photos", "regions per photo", "index kB per photo", "ingest seconds per photo")


def table(results: Mapping[str, RecipeResult]) -> str:
    """A row for each metric, with its interval and number of values; a column for each recipe."""
    metrics = [result.metrics for result in results.values()]
    rows = [["", "of", *results]]
    rows += [[each[0].name, f"{each[0].over:,}", *map(_with_interval, each)] for each in zip(*metrics, strict=True)]
    costs = [_costs(result.cost) for result in results.values()]
    rows += [[name, "", *each] for name, *each in zip(COSTS, *costs, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def as_json(benchmark: str, how: str, remarks: Sequence[str], results: Mapping[str, RecipeResult]) -> dict[str, Any]:
    return {
        "benchmark": benchmark,
        "how": how,
        "remarks": list(remarks),
        "interval": {"level": LEVEL, "method": "bootstrap over queries", "rounds": ROUNDS, "seed": SEED},
        "recipes": [_result(name, result) for name, result in results.items()],
    }


def _result(name: str, result: RecipeResult) -> dict[str, Any]:
    cost = result.cost
    return {
        "name": name,
        "recipe": result.recipe.to_meta(),
        **asdict(cost),
        "regions_per_photo": _per(cost.regions, cost),
        "seconds_per_photo": _per(cost.seconds, cost),
        "remarks": list(result.remarks),
        "rejected": [asdict(reject) for reject in result.rejected],
        "metrics": [asdict(each) for each in result.metrics],
    }


def _with_interval(metric: Metric) -> str:
    return "-" if metric.value is None else f"{metric.value:.3f} ({metric.low:.3f}-{metric.high:.3f})"


def _costs(cost: IndexCost) -> list[str]:
    kilobytes = None if cost.index_bytes is None else _per(cost.index_bytes / 1000, cost)
    return [f"{cost.photos:,}", *map(_short, (_per(cost.regions, cost), kilobytes, _per(cost.seconds, cost)))]


def _per(amount: float, cost: IndexCost) -> float | None:
    return amount / cost.photos if cost.photos else None


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.3g}" if number < 100 else f"{number:,.0f}"
