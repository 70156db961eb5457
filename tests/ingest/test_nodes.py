"""A cluster of three nodes whose nodes are killed, restarted and full, while photos come in and are searched."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.engine import Engine, running_nodes, start, status, stop
from sorce.errors import ClusterError
from sorce.ingest import Options, Watch, ingest_photos
from sorce.ingest import write as writing
from sorce.ingest.encode import PICTURES_AT_ONCE
from sorce.ingest.index import NewIndex, TargetIndex
from sorce.mappings import Region
from sorce.mappings.index import index_body
from sorce.plugin import ClientSearch, SearchRequest
from tests.ingest.conftest import CountingModel, Draw, files, stored
from tests.kit.corpus import RECIPE, Corpus, Words
from tests.kit.fake import Seen
from tests.plugin.query.test_ranking import OBJECTS
from tests.plugin.query.test_search import REQUESTS, check

pytestmark = pytest.mark.long

PHOTOS = 40
LIMIT = 120.0  # seconds
SHARED = {"number_of_shards": 3, "number_of_replicas": 1}
KITE = SearchRequest(["a kite"])


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Engine]]:
    with running_nodes(3, "384m", quick_start=True) as nodes:
        yield nodes


@pytest.fixture
def client(nodes: list[Engine]) -> Iterator[OpenSearch]:
    with connect([node.url for node in nodes]) as client:
        settle(client)
        yield client


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus()


def settle(client: OpenSearch) -> None:
    """Waits until all nodes are there, and all copies of all shards."""
    wanted = {"wait_for_nodes": "3", "wait_for_status": "green", "wait_for_no_relocating_shards": "true"}
    assert not client.cluster.health(params={**wanted, "timeout": f"{LIMIT:.0f}s"}, request_timeout=LIMIT)["timed_out"]


def kill(node: Engine) -> None:
    running = status(node)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: status(node) is None)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


class InBetween(CountingModel):
    """Does something before a batch of photos is encoded, by the number of the batch."""

    def __init__(self, acts: Mapping[int, Callable[[], object]]) -> None:
        super().__init__()
        self.acts, self.batches = acts, 0

    def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
        self.batches += 1
        if self.batches in self.acts:
            self.acts[self.batches]()
        return super().encode(prepared)


@contextmanager
def searching(nodes: list[Engine], index: str, corpus: Corpus) -> Iterator[list[int]]:
    """Searches all the time. Each answer must be numpy's over all photos. Gives the number of answers so far."""
    over, done, errors, wanted = Event(), [0], list[BaseException](), corpus.expected(KITE)
    with connect([node.url for node in nodes]) as client:
        searcher = ClientSearch(client, index, lambda _: Words())

        def search() -> None:
            try:
                while not over.is_set():
                    check(searcher.search(KITE), wanted)
                    done[0] += 1
                    time.sleep(0.02)
            except BaseException as error:
                errors.append(error)

        thread = Thread(target=search)
        thread.start()
        try:
            yield done
        finally:
            over.set()
            thread.join()
    if errors:
        raise errors[0]


def test_over_three_shards_the_hits_are_those_of_numpy(client: OpenSearch, corpus: Corpus) -> None:
    client.indices.create(index="objects", body=index_body(OBJECTS, SHARED))
    corpus.fill(client, "objects", OBJECTS)
    searcher = ClientSearch(client, "objects", lambda _: Words())
    proved = SearchRequest(["a kite"], rank="product", size=5, k=5)
    for asked in (*REQUESTS.values(), proved, SearchRequest(["a kite"], size=3, k=3, ef_search=10)):
        hits = searcher.search(asked)
        check(hits, corpus.expected(asked))
        assert not any(hit.unproved for hit in hits)


def test_nodes_are_killed_and_restarted_while_photos_come_in_and_are_searched(
    client: OpenSearch, nodes: list[Engine], corpus: Corpus, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PICTURES_AT_ONCE > 1
    monkeypatch.setattr("sorce.ingest.encode.PICTURES_AT_ONCE", 40)
    # Each photo is sent at once, so that some are written before each fault, and some after it.
    monkeypatch.setattr(writing, "MAX_SECONDS", -1.0)
    for number in range(PHOTOS):
        draw(f"{number}.png", (number, 100, 200))
    client.indices.create(index="steady", body=index_body(RECIPE, SHARED))
    corpus.fill(client, "steady", RECIPE)
    settle(client)
    searched: list[int] = []
    with searching(nodes, "steady", corpus) as done:

        def killed() -> None:
            until(lambda: done[0] > 0)
            kill(nodes[2])
            searched.append(done[0])

        def back() -> None:
            until(lambda: done[0] > searched[0] + 5)
            start(nodes[2])
            settle(client)

        def restarted(node: Engine) -> None:
            stop(node)
            start(node)
            settle(client)

        model = InBetween({3: killed, 4: back, 5: lambda: restarted(nodes[0]), 6: lambda: restarted(nodes[1])})
        target = TargetIndex(client, "photos", NewIndex({f"index.{name}": value for name, value in SHARED.items()}))
        target.make(model.recipe)
        # A copy that is still being made is none.
        settle(client)
        report = ingest_photos(client, "photos", model, files(tmp_path / "photos"), Options(workers=1))
    assert model.batches > 6
    assert (report.new, report.rejected, model.encoded) == (PHOTOS, 0, PHOTOS)
    settle(client)
    assert len(stored(target)) == PHOTOS
    assert ingest_photos(client, "photos", model, files(tmp_path / "photos"), Options(workers=1)).unchanged == PHOTOS


def test_while_a_shard_has_no_copy_a_search_is_refused_and_nothing_partial_comes_unsaid(
    client: OpenSearch, nodes: list[Engine], corpus: Corpus
) -> None:
    spread = {"number_of_shards": 3, "number_of_replicas": 0, "routing.allocation.total_shards_per_node": 1}
    client.indices.create(index="single", body=index_body(RECIPE, {f"index.{key}": spread[key] for key in spread}))
    corpus.fill(client, "single", RECIPE)
    searcher = ClientSearch(client, "single", lambda _: Words())
    check(searcher.search(KITE), corpus.expected(KITE))
    kill(nodes[1])
    for _ in range(20):
        with pytest.raises(
            ClusterError, match=r"the answer of .single. is not complete: .*try again"
        ):
            searcher.search(KITE)
    # The other nodes have noticed: the shard is not asked any more, and would not count as failed.
    until(lambda: client.cluster.health(index="single")["status"] == "red")
    with pytest.raises(ClusterError, match="is not complete"):
        searcher.search(KITE)
    partial = searcher.search(SearchRequest(["a kite"], allow_partial=True, size=200, exact=True))
    assert 0 < len(partial) < len(corpus.photos)
    assert str(partial.incomplete).startswith("1 of 3 shards did not answer")
    start(nodes[1])
    settle(client)
    check(searcher.search(KITE), corpus.expected(KITE))


class Waiting(Watch):
    """Makes room as soon as the ingest says why it waits."""

    def __init__(self, make_room: Callable[[], None]) -> None:
        super().__init__()
        self.make_room, self.reasons = make_room, list[str]()

    def waiting(self, reason: str, seconds: float) -> None:  # noqa: ARG002
        if not self.reasons:
            self.make_room()
        self.reasons.append(reason)


def test_on_a_full_disk_an_ingest_says_so_loses_nothing_and_goes_on_when_there_is_room(
    client: OpenSearch, draw: Draw, tmp_path: Path
) -> None:
    for number in range(3):
        draw(f"{number}.png", (number, 100, 200))
    model = CountingModel()
    target = TargetIndex(client, "filling", NewIndex({"index.number_of_shards": 3}))
    target.make(model.recipe)

    def watermarks(free: str | None) -> None:
        """How much of the disk must be free; None as before."""
        names = (f"cluster.routing.allocation.disk.watermark.{name}" for name in ("low", "high", "flood_stage"))
        settings: dict[str, Any] = dict.fromkeys(names, free)
        settings["cluster.info.update.interval"] = None if free is None else "10s"
        client.cluster.put_settings(body={"transient": settings})

    def is_blocked() -> bool:
        settings = client.indices.get_settings(index="filling", params={"flat_settings": "true"})["filling"]["settings"]
        return settings.get("index.blocks.read_only_allow_delete") == "true"

    def make_room() -> None:
        # The look every ten seconds finds the room.
        names = ("low", "high", "flood_stage")
        body = {f"cluster.routing.allocation.disk.watermark.{name}": None for name in names}
        client.cluster.put_settings(body={"transient": body})

    watermarks("1000tb")
    try:
        until(is_blocked)
        watch = Waiting(make_room)
        report = ingest_photos(client, "filling", model, files(tmp_path / "photos"), Options(workers=1), watch)
    finally:
        watermarks(None)
    assert (report.new, report.rejected) == (3, 0)
    assert "disk usage exceeded flood-stage watermark" in watch.reasons[0]
    assert len(stored(target)) == 3
