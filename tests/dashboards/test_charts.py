"""The panels of runs and quality, against real clusters: what their aggregations count is what Python counts."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sorce.dashboards.objects import SavedObject
from sorce.dashboards.quality import quality_objects
from sorce.dashboards.runs import runs_objects
from sorce.mappings.quality_log import quality_body
from sorce.mappings.run_log import REJECTS, RUNS, log_body
from tests.dashboards.conftest import Record
from tests.kit.dashboards import aggregated, narrowed, rows

Json = dict[str, Any]

NOW = datetime.now(UTC)
RUN_DOCS: list[Json] = [
    {
        "run": str(i),
        "index": "photos" if i % 4 else "others",
        "state": ("done", "running", "failed")[i % 3],
        "host": f"host{i % 2}",
        "started_at": (NOW - timedelta(hours=i)).isoformat(),
        # The first two stay in time however long the tests take.
        "updated_at": (NOW + timedelta(hours=2 - i)).isoformat(),
        "photos_per_second": 10.0 + i,
        "new": 10 * i,
        "changed": i,
        "rejected": i % 5,
        "seconds_by_stage": {"decode": i / 2, "encode": i / 3, "write": i / 4},
    }
    for i in range(12)
]
REJECT_DOCS: list[Json] = [
    {
        "run": "1",
        "index": "photos",
        "at": NOW.isoformat(),
        "reason": f"r{i % 3}",
        "folder": f"/f{i % 2}",
        "path": f"/f/{i}",
    }
    for i in range(9)
]
METRICS = ("R@10", "R@10, objects under 0.1 %", "retrieval mAP over the first 50 photos, of all relevant")
QUALITY_DOCS: list[Json] = [
    {
        "kind": "metric",
        "at": NOW.isoformat(),
        "recipe": recipe,
        "metric": name,
        "value": (i + 1) / 10,
        "low": i / 10,
        "high": (i + 2) / 10,
        "over": 20,
    }
    for recipe in ("mini tiles", "mini whole")
    for i, name in enumerate(METRICS)
] + [
    {"kind": "question", "at": NOW.isoformat(), "recipe": recipe, "question": f"q{i}", "found": float(i % 2)}
    for recipe in ("mini tiles", "mini whole")
    for i in range(4)
]


def load(client: OpenSearch, body: Json, documents: list[Json]) -> str:
    # A name of its own: other runs write into the indices of the log meanwhile.
    name = f"test-charts-{uuid.uuid4().hex[:8]}"
    client.indices.create(index=name, body=body)
    lines = [line for each in documents for line in ('{"index":{}}', json.dumps(each))]
    assert not client.bulk(index=name, body="\n".join(lines) + "\n", params={"refresh": "true"})["errors"]
    return name


@pytest.fixture(scope="module")
def logs(client: OpenSearch) -> Iterator[dict[str, str]]:
    """The index with known documents for each index pattern, by its part of the id."""
    found = {
        "runs": load(client, log_body(RUNS), RUN_DOCS),
        "rejects": load(client, log_body(REJECTS), REJECT_DOCS),
        "quality": load(client, quality_body(), QUALITY_DOCS),
    }
    yield found
    client.indices.delete(index=",".join(found.values()))


def panel(objects: list[SavedObject], part: str) -> SavedObject:
    return next(each for each in objects if each.id == f"sorce-{part}-photos")


CHARTS = (
    *("runstates", "runrates", "runcounts", "runstages", "rejectreasons", "rejectfolders"),
    *("recall", "precision", "sizes", "metrics", "questions"),
)
"""The panels that are asked here."""


def asked(client: OpenSearch, logs: dict[str, str], each: SavedObject) -> list[tuple[Any, ...]]:
    """The rows that a visualization shows: values of its buckets, then of its metrics."""
    index = logs[each.references[0].id.split("-")[1]]
    body = {"size": 0, "query": narrowed(each), "aggs": aggregated(each)}
    return rows(each, client.search(index=index, body=body)["aggregations"])


@pytest.fixture
def check(line: str, record_property: Record) -> Callable[[str, object, object], None]:
    """Asserts that a panel shows what it must, and records it."""

    def equal(part: str, found: object, expected: object) -> None:
        assert found == expected, part
        record_property(f"panel as numpy, {line}", part)

    return equal


Check = Callable[[str, object, object], None]

MINE = [each for each in RUN_DOCS if each["index"] == "photos"]


def sums(names: Sequence[str], documents: Sequence[Json]) -> list[Any]:
    return [pytest.approx(sum(each[name] for each in documents)) for name in names]


def test_runs_are_counted(client: OpenSearch, logs: dict[str, str], check: Check) -> None:
    objects = runs_objects("photos")
    for part, name, documents in (
        ("runstates", "state", MINE),
        ("rejectreasons", "reason", REJECT_DOCS),
        ("rejectfolders", "folder", REJECT_DOCS),
    ):
        found = {row[0]: row[1] for row in asked(client, logs, panel(objects, part))}
        check(part, found, Counter(each[name] for each in documents))
    for part, names, documents in (
        ("runcounts", ("new", "changed", "rejected"), MINE),
        ("runstages", ("decode", "encode", "write"), [each["seconds_by_stage"] for each in MINE]),
    ):
        columns = list(zip(*asked(client, logs, panel(objects, part)), strict=True))[1:]
        check(part, [sum(column) for column in columns], sums(names, documents))


def test_rates_are_means_by_host(client: OpenSearch, logs: dict[str, str], check: Check) -> None:
    rates = defaultdict(list)
    for each in MINE:
        hour = datetime.fromisoformat(each["started_at"]).replace(minute=0, second=0, microsecond=0)
        rates[int(hour.timestamp() * 1000), each["host"]].append(each["photos_per_second"])
    found = {row[:2]: row[2] for row in asked(client, logs, panel(runs_objects("photos"), "runrates"))}
    check("runrates", found, {key: sum(values) / len(values) for key, values in rates.items()})


def test_what_is_stuck_is_listed(client: OpenSearch, logs: dict[str, str]) -> None:
    stuck = panel(runs_objects("photos"), "stuck")
    hits = client.search(index=logs["runs"], body={"query": narrowed(stuck), "size": 20})["hits"]["hits"]
    expected = {each["run"] for i, each in enumerate(RUN_DOCS) if each in MINE and each["state"] == "running" and i > 1}
    assert {hit["_source"]["run"] for hit in hits} == expected
    assert len(expected) > 1


def test_recipes_stand_side_by_side(client: OpenSearch, logs: dict[str, str], check: Check) -> None:
    objects, recipes = quality_objects("photos"), ("mini tiles", "mini whole")
    for part, name in (("recall", METRICS[0]), ("sizes", METRICS[1]), ("precision", METRICS[2])):
        value = (METRICS.index(name) + 1) / 10
        found = asked(client, logs, panel(objects, part))
        check(part, sorted(found), [(name, recipe, pytest.approx(value)) for recipe in recipes])
    rows_of_all = [
        (each["metric"], each["recipe"], *(pytest.approx(each[name]) for name in ("value", "low", "high")), 20.0)
        for each in sorted(QUALITY_DOCS[:6], key=lambda each: (each["metric"], each["recipe"]))
    ]
    check("metrics", sorted(asked(client, logs, panel(objects, "metrics"))), rows_of_all)
    found = {row[:2]: row[2] for row in asked(client, logs, panel(objects, "questions"))}
    check("questions", found, {(f"q{i}", recipe): i % 2 for i in range(4) for recipe in recipes})
