"""A cluster of three nodes whose nodes are killed, restarted and full, while photos come in and are searched."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from opensearchpy import OpenSearch, helpers

from sorce.cluster import connect
from sorce.engine import Engine, running_nodes, start, status, stop
from sorce.errors import ClusterError
from sorce.ingest import Options, Watch, ingest_photos
from sorce.ingest import write as writing
from sorce.ingest.index import NewIndex, TargetIndex
from sorce.mappings import Region
from sorce.mappings.index import index_body
from sorce.pictures.source import photo_id_of
from sorce.plugin import ClientSearch, SearchRequest
from tests.ingest.conftest import CountingModel, Draw, files
from tests.kit.corpus import RECIPE, Corpus, Words
from tests.kit.fake import Seen
from tests.plugin.query.test_ranking import OBJECTS
from tests.plugin.query.test_search import REQUESTS, check

pytestmark = pytest.mark.long

PHOTOS = 40
LIMIT = 120.0  # seconds
REFUSALS = 20
KITE = SearchRequest(["a kite"])

SHARED = {"index.number_of_shards": 3, "index.number_of_replicas": 1}
SINGLE = {
    "index.number_of_shards": 3,
    "index.number_of_replicas": 0,
    "index.routing.allocation.total_shards_per_node": 1,
}
"""Each node has one shard, which no other node has."""

Record = Callable[[str, object], None]


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


@dataclass
class Searches:
    """How many searches found what numpy finds over all photos; what the others found, or why they failed."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def all_are_right(self) -> bool:
        return self.right > 0 and not self.wrong and not self.failed


@contextmanager
def searching(nodes: list[Engine], index: str, corpus: Corpus) -> Iterator[Searches]:
    """Searches all the time, in a thread."""
    over, done, wanted = Event(), Searches(), corpus.expected(KITE)
    with connect([node.url for node in nodes]) as client:
        searcher = ClientSearch(client, index, lambda _: Words())

        def search() -> None:
            while not over.wait(0.1):
                try:
                    check(searcher.search(KITE), wanted)
                    done.right += 1
                except AssertionError as error:
                    done.wrong.append(str(error))
                except Exception as error:
                    done.failed.append(repr(error))

        thread = Thread(target=search)
        thread.start()
        try:
            yield done
        finally:
            over.set()
            thread.join()


def refuse_partial(client: OpenSearch, index: str, corpus: Corpus) -> int:
    """Searches an index that lacks a shard. Returns how many answers came without saying that they are partial."""
    searcher, unsaid, said = ClientSearch(client, index, lambda _: Words()), 0, set[str]()
    for number in range(REFUSALS):
        try:
            searcher.search(KITE)
            unsaid += 1
        except ClusterError as error:
            said.add(str(error).partition(": ")[0])
        if not number:
            # Now the other nodes have noticed: the shard is not asked any more, and does not count as failed.
            until(lambda: client.cluster.health(index=index)["status"] == "red")
    assert said == {f"the answer of '{index}' is not complete"}
    partial = searcher.search(SearchRequest(["a kite"], allow_partial=True, size=200, exact=True))
    assert 0 < len(partial) < len(corpus.photos)
    assert str(partial.incomplete).startswith("1 of 3 shards did not answer")
    return unsaid


def lost_and_doubled(target: TargetIndex, folder: Path) -> tuple[int, int]:
    """How many photos of the folder are not in the index, and how many documents there are beside one of each."""
    target.refresh()
    ids = [hit["_id"] for hit in helpers.scan(target.client, index=target.name, _source=False)]
    wanted = {photo_id_of(file.as_uri()) for file in folder.iterdir()}
    return len(wanted - set(ids)), len(ids) - len(wanted & set(ids))


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
    client: OpenSearch,
    nodes: list[Engine],
    corpus: Corpus,
    draw: Draw,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    """A node is killed, and comes back; then the other two are restarted, one after the other.

    While it is gone, an index without replicas lacks a shard, and an index with them lacks nothing.
    """
    # Each photo is encoded and sent soon, so that some are written before each fault, and some after it.
    monkeypatch.setattr("sorce.ingest.encode.PICTURES_AT_ONCE", 40)
    monkeypatch.setattr(writing, "MAX_SECONDS", -1.0)
    for number in range(PHOTOS):
        draw(f"{number}.png", (number, 100, 200))
    for name, settings in (("steady", SHARED), ("single", SINGLE)):
        client.indices.create(index=name, body=index_body(RECIPE, settings))
        corpus.fill(client, name, RECIPE)
    target = TargetIndex(client, "photos", NewIndex(SHARED))
    target.make(CountingModel().recipe)
    # A copy that is still being made is none.
    settle(client)
    unsaid: list[int] = []

    with searching(nodes, "steady", corpus) as searches:

        def searched() -> None:
            """Waits for a few searches more."""
            before = searches.right
            until(lambda: searches.right > before + 5)

        def killed() -> None:
            searched()
            kill(nodes[2])

        def back() -> None:
            searched()
            unsaid.append(refuse_partial(client, "single", corpus))
            start(nodes[2])
            settle(client)
            check(ClientSearch(client, "single", lambda _: Words()).search(KITE), corpus.expected(KITE))

        def restarted(node: Engine) -> None:
            stop(node)
            searched()
            start(node)
            settle(client)

        model = InBetween({3: killed, 4: back, 5: lambda: restarted(nodes[0]), 6: lambda: restarted(nodes[1])})
        report = ingest_photos(client, "photos", model, files(tmp_path / "photos"), Options(workers=1))
    settle(client)
    lost, doubled = lost_and_doubled(target, tmp_path / "photos")
    record_property("nodes killed", 1)
    record_property("nodes restarted", 2)
    record_property("photos lost", lost)
    record_property("photos doubled", doubled)
    record_property("right answers while a node was gone or came back", searches.right)
    record_property("wrong answers", len(searches.wrong))
    record_property("searches that failed though each shard had a copy", len(searches.failed))
    record_property("answers that did not say that a shard is missing", sum(unsaid))
    assert model.batches > 6
    assert (report.new, report.rejected, model.encoded) == (PHOTOS, 0, PHOTOS)
    assert (lost, doubled, unsaid) == (0, 0, [0])
    assert searches.all_are_right, searches
    again = ingest_photos(client, "photos", CountingModel(), files(tmp_path / "photos"), Options(workers=1))
    assert (again.unchanged, again.new, again.changed) == (PHOTOS, 0, 0)


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
    client: OpenSearch, draw: Draw, tmp_path: Path, record_property: Record
) -> None:
    for number in range(3):
        draw(f"{number}.png", (number, 100, 200))
    target = TargetIndex(client, "filling", NewIndex({"index.number_of_shards": 3}))
    target.make(CountingModel().recipe)

    def watermarks(free: str | None) -> None:
        """How much of the disk must be free; None as before. The cluster looks every ten seconds, the least."""
        names = (f"cluster.routing.allocation.disk.watermark.{name}" for name in ("low", "high", "flood_stage"))
        settings: dict[str, Any] = {**dict.fromkeys(names, free), "cluster.info.update.interval": "10s"}
        client.cluster.put_settings(body={"transient": settings})

    def is_blocked() -> bool:
        settings = client.indices.get_settings(index="filling", params={"flat_settings": "true"})["filling"]["settings"]
        return settings.get("index.blocks.read_only_allow_delete") == "true"

    def takes_indices() -> bool:
        settings = client.cluster.get_settings(params={"flat_settings": "true"})
        return all(some.get("cluster.blocks.create_index") != "true" for some in settings.values())

    watch = Waiting(lambda: watermarks(None))
    watermarks("1000tb")
    try:
        until(is_blocked)
        report = ingest_photos(
            client, "filling", CountingModel(), files(tmp_path / "photos"), Options(workers=1), watch
        )
    finally:
        watermarks(None)
        # The other tests make indices.
        until(takes_indices)
    lost, doubled = lost_and_doubled(target, tmp_path / "photos")
    record_property("full disks", 1)
    record_property("photos lost", lost)
    record_property("photos doubled", doubled)
    assert (report.new, report.rejected) == (3, 0)
    assert "disk usage exceeded flood-stage watermark" in watch.reasons[0]
    assert (lost, doubled) == (0, 0)
