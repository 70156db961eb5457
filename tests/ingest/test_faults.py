"""A real OpenSearch behind a proxy that causes faults: whatever happens, nothing is lost and nothing is doubled."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch
from PIL import Image

from sorce.cluster import address, connect, translate_errors
from sorce.errors import ClusterError
from sorce.ingest import Options, Report, Watch, commands, pipeline, prune, request
from sorce.ingest import retry as retry
from sorce.ingest.alias import DEFAULT_PIPELINE, switch
from sorce.ingest.index import TargetIndex
from sorce.ingest.write import Sender, Sent, Writer
from sorce.mappings import Rejected
from tests.ingest.conftest import CountingModel, Documents, files, old, stored
from tests.kit.faults import Faults, faulty

PHOTOS = 40
IN_A_REQUEST = 15_000
"""Bytes: about four documents with five small vectors each."""

PASSING = [
    *("408", "429", "500", "502", "503", "504"),
    *("dropped before", "dropped after", "dropped half way", "half an answer", "a web page"),
    *("late", "slow", "504 though written", "413 where large"),
    *("item 429", "item 502", "item 503", "item 504"),
]


class Hearing(Watch):
    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.rejects: list[Rejected] = []

    def waiting(self, reason: str, seconds: float) -> None:  # noqa: ARG002
        self.waits.append(reason)

    def rejected(self, reject: Rejected) -> None:
        self.rejects.append(reject)


@pytest.fixture(autouse=True)
def _many_requests_and_short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    def writer(sender: Sender, on_sent: Callable[[Sent], None]) -> Writer:
        return Writer(sender, on_sent, most_bytes=IN_A_REQUEST)

    monkeypatch.setattr(pipeline, "Writer", writer)
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.01)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small photos of different colours."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        Image.new("RGB", (8, 6), (6 * number, 100, 250 - 6 * number)).save(folder / f"{number:02}.png")
        old(folder / f"{number:02}.png")
    return folder


@pytest.fixture
def client(opensearch: str) -> Iterator[OpenSearch]:
    """Of the open line alone: the proxy that makes the faults speaks no TLS."""
    with connect(opensearch) as client:
        yield client


@pytest.fixture(scope="module")
def whole(opensearch: str, photos: Path) -> Iterator[Documents]:
    """What a run without faults stores."""
    with connect(opensearch) as client:
        index = TargetIndex(client, f"test-ingest-{uuid.uuid4().hex[:12]}")
        run(client, index, photos)
        yield stored(index)
        client.indices.delete(index=index.name)


Record = Callable[[str, object], None]
Through = Callable[..., AbstractContextManager[tuple[OpenSearch, Faults]]]

LATE = 2
"""Seconds after which an answer counts as late."""


@pytest.fixture
def through(opensearch: str) -> Through:
    """A client that goes through a proxy with that plan, and waits so many seconds for an answer."""

    @contextmanager
    def connected(plan: Callable[[int], str | None], seconds: float = 30) -> Iterator[tuple[OpenSearch, Faults]]:
        with faulty(opensearch, plan) as (url, faults), OpenSearch(url, timeout=seconds, max_retries=0) as client:
            yield client, faults

    return connected


def run(client: OpenSearch, index: TargetIndex, folder: Path, watch: Watch | None = None, **options: Any) -> Report:
    target = TargetIndex(client, index.name)
    # By a client that has all the time it needs: nothing repeats this request.
    target.found = TargetIndex(index.client, index.name).look_up()
    with translate_errors(address(client)):
        return pipeline.bring_in(target, CountingModel(), files(folder), Options(workers=1, **options), watch)


@pytest.mark.parametrize("kind", PASSING)
def test_a_fault_that_passes_costs_nothing(
    through: Through,
    photos: Path,
    index: TargetIndex,
    whole: Documents,
    kind: str,
    record_property: Record,
) -> None:
    seconds = LATE if kind == "late" else 30
    with through(lambda number: kind if number in (0, 1, 4) else None, seconds) as (client, faults):
        report = run(client, index, photos)
    assert faults.done[kind] == 3
    assert (report.new, report.rejected) == (PHOTOS, 0)
    assert stored(index) == whole
    record_property(f"fault {kind}", faults.done[kind])


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_document_that_is_refused_is_rejected_with_the_reason_and_the_rest_goes_on(
    through: Through,
    photos: Path,
    index: TargetIndex,
    whole: Documents,
    status: int,
    record_property: Record,
) -> None:
    watch = Hearing()
    with through(lambda number: f"item {status}" if number == 0 else None) as (client, _):
        report = run(client, index, photos, watch)
    assert report.rejected == len(watch.rejects) > 0
    assert {reject.reason for reject in watch.rejects} == {
        f"was refused by the cluster: failed to parse field ({status})"
    }
    assert report.new == PHOTOS - report.rejected == len(stored(index))
    again = run(index.client, index, photos)
    assert (again.new, again.unchanged) == (report.rejected, report.new)
    assert stored(index) == whole
    record_property(f"fault item {status}", report.rejected)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_user_stops_at_once_with_one_sentence(
    through: Through,
    photos: Path,
    index: TargetIndex,
    whole: Documents,
    status: int,
    record_property: Record,
) -> None:
    with (
        through(lambda number: str(status) if number >= 2 else None) as (client, faults),
        pytest.raises(ClusterError, match=rf"\({status}\)[^.]*\.$"),
    ):
        run(client, index, photos)
    # Two threads may have sent a request; neither sends it again.
    assert 1 <= faults.done[str(status)] <= 2
    assert run(index.client, index, photos).rejected == 0
    assert stored(index) == whole
    record_property(f"fault {status}", faults.done[str(status)])


def test_nobody_waits_for_a_busy_cluster_once_another_request_was_refused(
    through: Through, photos: Path, index: TargetIndex
) -> None:
    """Else it would be a matter of luck which of the two is heard of first."""
    with (
        through(lambda number: "401" if number == 1 else "429") as (client, _),
        pytest.raises(ClusterError, match="401"),
    ):
        run(client, index, photos, retry_timeout=1e9)


def test_a_cluster_that_never_recovers_is_given_up_and_the_next_run_does_the_rest(
    through: Through, photos: Path, index: TargetIndex, whole: Documents
) -> None:
    watch = Hearing()
    with (
        through(lambda number: "503" if number >= 3 else None) as (client, _),
        pytest.raises(ClusterError, match=r"^the cluster accepted nothing for 5 s \(503, because\); correct that"),
    ):
        run(client, index, photos, watch, retry_timeout=5)
    assert "503, because" in watch.waits
    index.refresh()
    before = len(stored(index))
    assert 0 < before < PHOTOS
    again = run(index.client, index, photos)
    assert (again.new, again.unchanged) == (PHOTOS - before, before)
    assert stored(index) == whole


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 5))])
def test_faults_of_all_kinds_one_after_another_cost_nothing(
    through: Through,
    photos: Path,
    index: TargetIndex,
    whole: Documents,
    seed: int,
    record_property: Record,
) -> None:
    chance = random.Random(seed)
    with through(lambda _: chance.choice(PASSING) if chance.random() < 0.8 else None, LATE) as (client, faults):
        report = run(client, index, photos)
    assert (report.new, report.rejected) == (PHOTOS, 0)
    assert faults.done.total() > 3
    assert stored(index) == whole
    for kind, times in faults.done.items():
        record_property(f"fault {kind}", times)


def test_an_index_made_read_only_by_a_full_disk_is_waited_for_and_told(
    through: Through, photos: Path, index: TargetIndex, whole: Documents, record_property: Record
) -> None:
    """What OpenSearch does above its flood stage, done by hand; the disk has room again once we have heard of it."""

    class Cleaning(Hearing):
        def waiting(self, reason: str, seconds: float) -> None:
            super().waiting(reason, seconds)
            block(None)

    def block(value: bool | None) -> None:
        index.client.indices.put_settings(index=index.name, body={"index.blocks.read_only_allow_delete": value})

    def still_full(_: int) -> None:
        # Before each request, since OpenSearch itself removes the block when it finds free space.
        if not watch.waits:
            block(True)

    watch = Cleaning()
    with through(still_full) as (client, _):
        assert run(client, index, photos, watch).new == PHOTOS
    assert re.search(r"(FORBIDDEN|TOO_MANY_REQUESTS)/12/", watch.waits[0])
    assert stored(index) == whole
    record_property("fault read-only index", 1)


def test_how_long_to_wait_can_be_said(
    opensearch: str, photos: Path, index: TargetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "load_model", lambda *_: CountingModel())
    with faulty(opensearch, lambda _: "429") as (url, _):
        arguments = ["--url", url, "--index", index.name, "--retry-timeout", "5", str(photos)]
        given_up = CliRunner().invoke(commands.ingest, arguments)
    assert "waiting for the cluster, for 5 s at most: 429, rejected execution" in given_up.stderr
    assert str(given_up.exception).startswith("the cluster accepted nothing for 5 s (429, rejected execution")
    assert str(given_up.exception).endswith(
        "or wait longer with --retry-timeout, and run the same command again: what is written stays."
    )


@pytest.mark.parametrize("kind", ["429", "503", "dropped before", "dropped half way", "a web page"])
def test_a_lookup_that_fails_is_asked_again(opensearch: str, photos: Path, index: TargetIndex, kind: str) -> None:
    run(index.client, index, photos)
    plan = faulty(opensearch, lambda number: kind if number < 2 else None, on="/_search")
    with plan as (url, faults), OpenSearch(url, timeout=2, max_retries=0) as client:
        report = run(client, index, photos)
    assert faults.done[kind] == 2
    assert report.unchanged == PHOTOS


@pytest.mark.parametrize("on", ["/_search", "/_bulk", "/_refresh"])
@pytest.mark.parametrize("kind", ["503", "dropped before", "dropped after"])
def test_a_cluster_that_is_away_for_a_while_is_pruned_all_the_same(
    opensearch: str, tmp_path: Path, index: TargetIndex, kind: str, on: str
) -> None:
    for number in range(3):
        Image.new("RGB", (8, 6), (80 * number, 0, 0)).save(tmp_path / f"{number}.png")
    run(index.client, index, tmp_path)
    (tmp_path / "1.png").unlink()
    plan = faulty(opensearch, lambda number: kind if number == 0 else None, on)
    with plan as (url, faults), OpenSearch(url, timeout=2, max_retries=0) as client:
        prune(client, index.name, files(tmp_path), confirm=lambda _: True)
    assert faults.done[kind] == 1
    assert sorted(document["file_name"] for document in stored(index).values()) == ["0.png", "2.png"]


@pytest.mark.parametrize("on", ["/_search", "/_refresh", "/_settings", "/_aliases"])
@pytest.mark.parametrize("kind", ["503", "dropped before", "dropped after"])
def test_a_cluster_that_is_away_for_a_while_moves_the_alias_all_the_same(
    opensearch: str, photos: Path, index: TargetIndex, kind: str, on: str
) -> None:
    alias, new = f"{index.name}-alias", TargetIndex(index.client, f"{index.name}-new")
    for place in (index, new):
        run(index.client, place, photos)
    switch(index.client, alias, index.name, None)
    index.client.indices.put_settings(index=index.name, body={DEFAULT_PIPELINE: "_none"})
    plan = faulty(opensearch, lambda number: kind if number == 0 else None, on)
    try:
        with plan as (url, faults), OpenSearch(url, timeout=2, max_retries=0) as client:
            assert switch(client, alias, new.name, None) == index.name
        assert faults.done[kind] == 1
        assert list(index.client.indices.get_alias(name=alias)) == [new.name]
    finally:
        index.client.indices.delete(index=new.name)
