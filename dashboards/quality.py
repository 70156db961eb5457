"""The dashboard "Quality": recipes side by side, from what `sorce evaluate --keep-results` wrote."""

from __future__ import annotations

from sorce.dashboards.charts import by_value, count, lying_bars, metric, table
from sorce.dashboards.objects import (
    Board,
    DataSource,
    Ids,
    Place,
    SavedObject,
    index_pattern,
    saved_search,
    visualization,
)
from sorce.mappings.quality_log import METRIC, QUALITY, QUESTION

SINCE = "now-10y"
MAX_METRICS, MAX_RECIPES = 40, 10


def quality_objects(index: str) -> list[SavedObject]:
    """The index pattern, the panels, and the dashboard itself as the last one."""
    ids = Ids(index)
    pattern = index_pattern(ids.of("quality"), f"{QUALITY}-*", "at")
    metrics, questions = DataSource(pattern.id, f"kind:{METRIC}"), DataSource(pattern.id, f"kind:{QUESTION}")
    recall = DataSource(pattern.id, f"kind:{METRIC} AND metric:*R@10")
    precision = DataSource(pattern.id, f"kind:{METRIC} AND metric:*mAP*")
    sizes = DataSource(pattern.id, f"kind:{METRIC} AND metric:*objects*")
    mean, rows = metric("avg", "value", "mean"), ("metric", "bucket", MAX_METRICS)
    interval = (metric("min", "low", "low"), metric("max", "high", "high"), metric("max", "over", "values"))
    recipe = by_value("recipe", "bucket", MAX_RECIPES, "recipe")
    side_by_side = by_value("recipe", "group", MAX_RECIPES)
    found = metric("avg", "found", "share with a right photo first")
    charts = {
        "metrics": (table(mean, *interval, by_value(*rows, label="metric"), recipe), "metrics with intervals", metrics),
        "recall": (lying_bars(mean, by_value("metric"), side_by_side, title="R@10"), "recall at 10", recall),
        "precision": (lying_bars(mean, by_value("metric"), side_by_side, title="mAP"), "mAP", precision),
        "sizes": (lying_bars(mean, by_value("metric"), side_by_side, title="R@10"), "recall by size", sizes),
        "questions": (
            table(found, count(), by_value("question", "bucket", MAX_METRICS, "question"), recipe),
            "questions",
            questions,
        ),
    }
    made = {
        part: visualization(ids.of(part), f"quality: {title} ({index})", form, source)
        for part, (form, title, source) in charts.items()
    }
    columns = ["recipe", "question", "size", "rank", "relevant", "summary"]
    listed = saved_search(ids.of("answers"), f"quality: every question ({index})", questions, columns, ["at", "desc"])
    panels = [
        (made["recall"], Place(0, 0, 16, 16)),
        (made["precision"], Place(16, 0, 16, 16)),
        (made["sizes"], Place(32, 0, 16, 16)),
        (made["metrics"], Place(0, 16, 24, 24)),
        (made["questions"], Place(24, 16, 24, 24)),
        (listed, Place(0, 40, 48, 20)),
    ]
    said = "Recipes side by side, from `sorce evaluate --keep-results`. Narrow it to one benchmark by a filter."
    board = Board(ids.of("qualityboard"), f"sorce: quality ({index})", said, SINCE, panels)
    return [pattern, *(panel for panel, _ in panels), board.as_object()]
