"""Three nodes: what is lost while they are killed, restarted and full. One node: searches while photos come in."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from multiprocessing import get_context
from multiprocessing.synchronize import Event

from corpus import QUERIES, WIDE, Indexed, Shape, corpus_of, indexed, refuse_rejects, text, write
from figures import Line, at_least, exactly, not_taken
from tested import Case, run_tests

from sorce.cluster import connect, find_index
from sorce.ingest.guard import Guard
from sorce.ingest.write import Sender, Writer
from sorce.plugin import SearchRequest

TESTS = ["tests/ingest/test_nodes.py", "tests/ingest/test_full_disk.py"]
NONE = (
    "photos lost",
    "photos doubled",
    "wrong answers",
    "searches that failed though each shard had a copy",
    "answers that did not say that a shard is missing",
)
"""What must never happen."""

PHOTOS = 2000
CLIENTS = 8
SECONDS = 5.0
ROUNDS = 3
START = 120.0
"""The most seconds until the other process writes."""


def measures() -> Iterator[Line]:
    """The faults as the tests count them, and then searches per second."""
    code, cases = run_tests(TESTS)
    yield exactly("nodes: exit code of the tests", code, 0)
    yield from counted(cases)
    yield from beside_an_ingest()


def counted(cases: list[Case]) -> Iterator[Line]:
    """Values of the same name are added up. What no test recorded is not taken."""
    sums: Counter[str] = Counter()
    for name, value in (each for case in cases for each in case.recorded):
        sums[name] += int(value)
    for name in NONE:
        found = sums.pop(name, None)
        yield (
            not_taken(f"nodes: {name}", "no test got so far") if found is None else exactly(f"nodes: {name}", found, 0)
        )
    for name, found in sums.items():
        yield at_least(f"nodes: {name}", found, 1)


def beside_an_ingest() -> Iterator[Line]:
    """Rounds without and with an ingest, in turns. The documents come from another process, already encoded."""
    index = indexed(Shape(PHOTOS, WIDE.dimension), PHOTOS)
    alone, beside, written = list[float](), list[float](), list[float]()
    for number in range(ROUNDS):
        alone.append(searches_a_second(index))
        with ingesting(index, PHOTOS * (number + 1)):
            before, started = photos(index), time.monotonic()
            beside.append(searches_a_second(index))
            written.append((photos(index) - before) / (time.monotonic() - started))
    name = f"nodes: {CLIENTS} clients, {PHOTOS:,} photos"
    yield Line(f"{name}: searches/s", statistics.median(alone))
    note = f"{statistics.median(written):.0f} photos/s come in, already encoded"
    yield Line(f"{name}: searches/s beside an ingest", statistics.median(beside), note=note)
    ratios = [one / other for one, other in zip(beside, alone, strict=True)]
    note = f"{ROUNDS} rounds from {min(ratios):.2f} to {max(ratios):.2f}"
    yield Line(f"{name}: beside an ingest / without", statistics.median(ratios), note=note)


def searches_a_second(index: Indexed) -> float:
    searcher, over = index.searcher(), time.monotonic() + SECONDS

    def client(first: int) -> int:
        for number in count():
            if time.monotonic() > over:
                return number
            searcher.search(SearchRequest([text((first + number) % QUERIES)]))
        raise AssertionError("endless")

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(client, range(0, QUERIES, QUERIES // CLIENTS + 1))) / SECONDS


def photos(index: Indexed) -> int:
    index.client.indices.refresh(index=index.name)
    return int(index.client.count(index=index.name)["count"])


@contextmanager
def ingesting(index: Indexed, first: int) -> Iterator[None]:
    """New photos come in, from a process of its own, from the number `first` on."""
    [host] = index.client.transport.hosts
    processes = get_context("spawn")
    started, over = processes.Event(), processes.Event()
    url = f"http://{host['host']}:{host['port']}"
    process = processes.Process(target=bring_in, args=(url, index.name, index.corpus.shape, first, started, over))
    process.start()
    try:
        if not started.wait(START):
            raise RuntimeError("the ingest beside the searches did not start; its error is above")
        yield
    finally:
        over.set()
        process.join()
    if process.exitcode:
        raise RuntimeError("the ingest beside the searches failed; its error is above")


def bring_in(url: str, index: str, shape: Shape, first: int, started: Event, over: Event) -> None:
    """The work of the other process."""
    vectors = corpus_of(shape).vectors
    with connect(url) as client, Writer(Sender(client, Guard.of(find_index(client, index))), refuse_rejects) as writer:
        for number in count(first):
            if over.is_set():
                return
            writer.add(write(number, vectors[number % len(vectors)]))
            started.set()
