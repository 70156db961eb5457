"""The dashboard "Runs": what each `sorce ingest` into an index did, how fast, what it rejected, and what is stuck."""

from __future__ import annotations

from sorce.dashboards.charts import by_time, by_value, count, lines, lying_bars, metric, table, upright_bars
from sorce.dashboards.objects import (
    Board,
    DataSource,
    Ids,
    PanelForm,
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
    ids = Ids(index)
    runs = index_pattern(ids.of("runs"), f"{RUNS}-*", "started_at")
    rejects = index_pattern(ids.of("rejects"), f"{REJECTS}-*", "at")
    panels = [*_of_runs(ids, runs.id), *_of_rejects(ids, rejects.id)]
    said = f"What each `sorce ingest` into {index} did. A run writes here every 30 seconds."
    board = Board(ids.of("runboard"), f"sorce: runs of {index}", said, SINCE, panels, REFRESH_SECONDS)
    return [runs, rejects, *(panel for panel, _ in panels), board.as_object()]


def _of_runs(ids: Ids, pattern: str) -> list[tuple[SavedObject, Place]]:
    index, mine = ids.index, f'index:"{ids.index}"'
    runs = DataSource(pattern, mine)
    waiting = DataSource(pattern, f"{mine} AND state:{RUNNING} AND updated_at:[* TO now-{STUCK_MINUTES}m]")
    newest = ("started_at", "desc")
    counts = [metric("sum", name, name) for name in ("new", "changed", "rejected")]
    seconds = [metric("sum", f"seconds_by_stage.{stage}", stage) for stage in STAGES]
    time, rate = by_time("started_at"), metric("avg", "photos_per_second", "photos/s")

    def chart(part: str, title: str, form: PanelForm) -> SavedObject:
        return visualization(ids.of(part), f"{index}: {title}", form, runs)

    title = f"{index}: stuck or killed (no update for {STUCK_MINUTES} minutes)"
    speeds = lines(rate, time, by_value("host", "group"), title="photos/s")
    return [
        (saved_search(ids.of("stuck"), title, waiting, COLUMNS, newest), Place(0, 0, 36, 10)),
        (chart("runstates", "states of runs", table(count(), by_value("state", "bucket"))), Place(36, 0, 12, 10)),
        (saved_search(ids.of("runlist"), f"{index}: runs", runs, COLUMNS, newest), Place(0, 10, 48, 16)),
        (chart("runrates", "photos per second, by host", speeds), Place(0, 26, 16, 14)),
        (chart("runcounts", "photos", upright_bars(*counts, time, title="photos")), Place(16, 26, 16, 14)),
        (chart("runstages", "seconds by stage", upright_bars(*seconds, time, title="seconds")), Place(32, 26, 16, 14)),
    ]


def _of_rejects(ids: Ids, pattern: str) -> list[tuple[SavedObject, Place]]:
    index, rejects = ids.index, DataSource(pattern, f'index:"{ids.index}"')
    panels = []
    for number, name in enumerate(("reason", "folder")):
        form = lying_bars(count(), by_value(name), title="rejects")
        panel = visualization(ids.of(f"reject{name}s"), f"{index}: rejects by {name}", form, rejects)
        panels.append((panel, Place(24 * number, 40, 24, 14)))
    columns = ["path", "said", "run"]
    listed = saved_search(ids.of("rejectlist"), f"{index}: rejects", rejects, columns, ("at", "desc"))
    return [*panels, (listed, Place(0, 54, 48, 16))]
