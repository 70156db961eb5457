"""A cluster of three nodes whose nodes are killed and restarted while photos come in and are searched."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.engine import Engine, running_nodes, start, status, stop
from sorce.ingest import Options, ingest_photos
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
