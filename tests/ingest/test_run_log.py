"""The log that a run writes into the cluster, and thumbnails: what Dashboards shows."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from opensearchpy import OpenSearch
from PIL import Image

from sorce.ingest import commands, request, run_log
from sorce.ingest.index import TargetIndex
from sorce.ingest.report import Report, Watch
from sorce.ingest.run_log import RunFacts, RunLog, category, logged
from sorce.mappings import Rejected
from sorce.mappings.run_log import REJECTS, RUNS, monthly
from sorce.pictures.thumbnail import MAX_BYTES, thumbnail
from tests.ingest.conftest import CountingModel, stored
from tests.kit.fake import FakeModel

Json = dict[str, Any]
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, model: CountingModel, surroundings: None, index: TargetIndex) -> Run:  # noqa: ARG001
    monkeypatch.setattr(request, "load_model", lambda *_: model)
    return lambda *given: CliRunner().invoke(commands.ingest, ["--index", index.name, *map(str, given)])


def written(client: OpenSearch, kind: str, index: str) -> list[Json]:
    params = {"ignore_unavailable": "true"}
    client.indices.refresh(index=f"{kind}-*", params=params)
    body = {"query": {"term": {"index": index}}, "size": 100}
    return [hit["_source"] for hit in client.search(index=f"{kind}-*", body=body, params=params)["hits"]["hits"]]


def test_a_run_and_its_rejects_are_logged(run: Run, folder: Path, client: OpenSearch, index: TargetIndex) -> None:
    for name in ("x1.jpg", "x2.jpg"):
        (folder / name).write_bytes(b"no picture")
    assert run(folder).exit_code == 3
    [found] = written(client, RUNS, index.name)
    assert (found["state"], found["target"], found["expected"]) == ("done", index.name, 7)
    assert [found[name] for name in ("photos", "new", "rejected", "regions")] == [7, 5, 2, 25]
    assert found["model"] == "example/fake"
    assert found["photos_per_second"] > 0
    assert set(found["seconds_by_stage"]) == {"decode", "encode", "write"}
    assert [each["count"] for each in found["rejects_by_reason"]] == [2]
    assert {"started_at", "updated_at", "ended_at"} <= found.keys()
    rejects = written(client, REJECTS, index.name)
    assert {each["path"] for each in rejects} == {str(folder / "x1.jpg"), str(folder / "x2.jpg")}
    assert {(each["run"], each["folder"], each["reason"]) for each in rejects} == {
        (found["run"], str(folder), found["rejects_by_reason"][0]["reason"])
    }


def test_it_can_be_left_out(run: Run, folder: Path, client: OpenSearch, index: TargetIndex) -> None:
    assert run(folder, "--no-run-log").exit_code == 0
    assert run(folder, "--dry-run").exit_code == 0
    assert written(client, RUNS, index.name) == []


@pytest.fixture
def refusing() -> Iterator[OpenSearch]:
    """A client of no cluster: every request fails."""
    with OpenSearch("http://127.0.0.1:1", max_retries=0) as nobody:
        yield nobody


def facts(index: str = "photos") -> RunFacts:
    return RunFacts(index, index, FakeModel().recipe, 3)


def test_a_log_that_cannot_be_written_changes_no_result(
    run: Run,
    folder: Path,
    refusing: OpenSearch,
    monkeypatch: pytest.MonkeyPatch,
    client: OpenSearch,
    index: TargetIndex,
) -> None:
    (folder / "x.jpg").write_bytes(b"no picture")
    made = RunLog.__init__

    def elsewhere(self: RunLog, _: OpenSearch, *rest: Any) -> None:
        made(self, refusing, *rest)

    monkeypatch.setattr(RunLog, "__init__", elsewhere)
    done = run(folder)
    assert done.exit_code == 3
    assert done.stdout.startswith("5 new, 0 changed, 0 unchanged, 1 rejected; 25 regions; ")
    assert done.stderr.count("the run log cannot be written") == 1
    assert len(stored(index)) == 5
    assert written(client, RUNS, index.name) == []


def test_the_command_asks_four_times_before_it_writes_and_logs_the_run_then(
    run: Run, folder: Path, index: TargetIndex, model: CountingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version of the cluster, what there is to know of the index, a refresh, and what it holds of the photos."""
    index.make(model.recipe)
    asked: list[str] = []
    connection = type(index.client.transport.get_connection())
    perform = connection.perform_request

    def noted(self: object, method: str, url: str, *given: object, **more: object) -> object:
        asked.append(f"{method} {url}")
        return perform(self, method, url, *given, **more)

    monkeypatch.setattr(connection, "perform_request", noted)
    (folder / "a.jpg").write_bytes(b"no picture")
    assert run(folder).exit_code == 3
    first = next(place for place, each in enumerate(asked) if each.endswith(f"/{index.name}/_bulk"))
    assert len(asked[:first]) == 4, asked[:first]
    assert any(f"/{RUNS}-" in each for each in asked[first:])


def test_a_run_is_in_the_log_as_soon_as_photos_are_written(client: OpenSearch, index: TargetIndex) -> None:
    log = RunLog(client, facts(index.name), pytest.fail)
    report = Report(rejected=1)
    log.started(lambda: report)
    with logged(log):
        log.done(1)
        assert not log._begun.is_set()
        report = Report(new=1, rejected=1)
        log.done(1)
        assert log._begun.is_set()
        while not (found := written(client, RUNS, index.name)):
            assert log._thread.is_alive()
        assert (found[0]["state"], found[0]["new"]) == ("running", 1)
        log.close("done", report)


def test_a_run_that_fails_says_so_in_its_log(client: OpenSearch, index: TargetIndex) -> None:
    log = RunLog(client, facts(index.name), pytest.fail)
    with pytest.raises(ValueError, match="broken"), logged(log):
        raise ValueError("broken")
    [found] = written(client, RUNS, index.name)
    assert (found["state"], found["error"]) == ("failed", "broken")


def test_it_is_updated_while_the_run_goes_on(
    client: OpenSearch, index: TargetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "EVERY", 0.01)
    twice = threading.Semaphore(0)

    def counts() -> Report:
        twice.release()
        return Report(new=2, seconds=1.0)

    log = RunLog(client, facts(index.name), pytest.fail)
    log.started(counts)
    with logged(log):
        assert all(twice.acquire(timeout=60) for _ in range(3))
        assert written(client, RUNS, index.name)[0]["state"] == "running"
    log.close("stopped", Report(new=3, seconds=1.0, stopped=True))
    [found] = written(client, RUNS, index.name)
    assert (found["state"], found["new"]) == ("stopped", 3)


def test_what_was_not_sent_is_sent_the_next_time(client: OpenSearch, index: TargetIndex, refusing: OpenSearch) -> None:
    said: list[str] = []
    log = RunLog(refusing, facts(index.name), said.append)
    log.rejected(Rejected("/photos/a.jpg", "is no picture"))
    log._write("running", None)
    log._client = client
    log._write("running", None)
    assert len(said) == 1
    assert [each["path"] for each in written(client, REJECTS, index.name)] == ["/photos/a.jpg"]


def test_the_fields_have_their_types_without_a_template(client: OpenSearch, run: Run, folder: Path) -> None:
    assert run(folder).exit_code == 0
    name = monthly(RUNS, datetime.now(UTC))
    fields = client.indices.get_mapping(index=name)[name]["mappings"]
    assert fields["dynamic"] == "false"
    assert fields["properties"]["host"]["type"] == "keyword"
    assert fields["properties"]["seconds_by_stage"]["properties"]["write"]["type"] == "double"


def test_a_watch_without_a_log_needs_nothing() -> None:
    Watch().started(Report)
    assert category("is 'a.jpg' of 3,000 bytes") == category("is 'b.jpg' of 12 bytes")
    assert category("has a name that is not UTF-8") == "has a name that is not UTF-8"


def test_thumbnails_are_stored_when_asked_for(run: Run, folder: Path, index: TargetIndex) -> None:
    assert run(folder).exit_code == 0
    assert not any("thumbnail" in each for each in stored(index).values())
    assert run(folder, "--thumbnails", "--force").exit_code == 0
    for each in stored(index).values():
        content = base64.b64decode(each["thumbnail"])
        with Image.open(BytesIO(content)) as picture:
            assert (picture.format, picture.size) == ("WEBP", (each["width"], each["height"]))


@pytest.mark.parametrize("size", [(40, 30), (1000, 800), (3000, 20)])
def test_a_thumbnail_is_at_most_8_kb_in_base64(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    noise = thumbnail(Image.fromarray(pixels))
    assert len(base64.b64encode(noise)) <= 8000
    with Image.open(BytesIO(noise)) as picture:
        assert max(picture.size) <= 256
    assert len(noise) <= MAX_BYTES
