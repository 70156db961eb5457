"""The dashboard "Runs": what each `sorce ingest` into an index did, how fast, what it rejected, and what is stuck."""

from __future__ import annotations

from sorce.dashboards.charts import by_time, by_value, count, lines, lying_bars, metric, table, upright_bars
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
from sorce.mappings.run_log import REJECTS, RUNNING, RUNS, STAGES, STUCK_MINUTES

SINCE = "now-90d"
REFRESH_SECONDS = 30

COLUMNS = ["state", "host", "photos", "new", "rejected", "photos_per_second", "recipe", "updated_at"]


def runs_objects(index: str) -> list[SavedObject]:
    """The index patterns, the panels, and the dashboard itself as the last one."""
    ids, mine = Ids(index), f'index:"{index}"'
    runs = index_pattern(ids.of("runs"), f"{RUNS}-*", "started_at")
    rejects = index_pattern(ids.of("rejects"), f"{REJECTS}-*", "at")
    of_runs, of_rejects = DataSource(runs.id, mine), DataSource(rejects.id, mine)
    stuck = DataSource(runs.id, f"{mine} AND state:{RUNNING} AND updated_at:[* TO now-{STUCK_MINUTES}m]")
    stages = [metric("sum", f"seconds_by_stage.{stage}", stage) for stage in STAGES]
    charts = {
        "runrates": (
            lines(
                metric("avg", "photos_per_second", "photos/s"),
                by_time("started_at"),
                by_value("host", "group"),
                title="photos/s",
            ),
            "photos per second, by host",
            of_runs,
        ),
        "runcounts": (
            upright_bars(
                metric("sum", "new", "new"),
                metric("sum", "changed", "changed"),
                metric("sum", "rejected", "rejected"),
                by_time("started_at"),
                title="photos",
            ),
            "photos brought in",
            of_runs,
        ),
        "runstages": (upright_bars(*stages, by_time("started_at"), title="seconds"), "seconds by stage", of_runs),
        "runstates": (table(count(), by_value("state", "bucket")), "states of runs", of_runs),
        "rejectreasons": (lying_bars(count(), by_value("reason"), title="rejects"), "rejects by reason", of_rejects),
        "rejectfolders": (lying_bars(count(), by_value("folder"), title="rejects"), "rejects by folder", of_rejects),
    }
    made = {
        part: visualization(ids.of(part), f"{index}: {title}", form, source)
        for part, (form, title, source) in charts.items()
    }
    newest = ["started_at", "desc"]
    waiting = saved_search(
        ids.of("stuck"), f"{index}: stuck or killed (no update for {STUCK_MINUTES} minutes)", stuck, COLUMNS, newest
    )
    listed = saved_search(ids.of("runlist"), f"{index}: runs", of_runs, COLUMNS, newest)
    missed = saved_search(
        ids.of("rejectlist"), f"{index}: rejects", of_rejects, ["path", "said", "run"], ["at", "desc"]
    )
    panels = [
        (waiting, Place(0, 0, 36, 10)),
        (made["runstates"], Place(36, 0, 12, 10)),
        (listed, Place(0, 10, 48, 16)),
        (made["runrates"], Place(0, 26, 16, 14)),
        (made["runcounts"], Place(16, 26, 16, 14)),
        (made["runstages"], Place(32, 26, 16, 14)),
        (made["rejectreasons"], Place(0, 40, 24, 14)),
        (made["rejectfolders"], Place(24, 40, 24, 14)),
        (missed, Place(0, 54, 48, 16)),
    ]
    said = f"What each `sorce ingest` into {index} did. A run writes here every 30 seconds."
    board = Board(ids.of("runboard"), f"sorce: runs of {index}", said, SINCE, panels, REFRESH_SECONDS)
    return [runs, rejects, *(panel for panel, _ in panels), board.as_object()]
