"""How photos flow from stage to stage: in order, by the batch, and never more at once than fits."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

from sorce.ingest.decode import Job, Ready, Unchanged
from sorce.ingest.index import TargetIndex
from sorce.ingest.report import Watch
from sorce.ingest.retry import Retry
from sorce.ingest.stats import Stats
from sorce.mappings import Region, Rejected
from sorce.models.model import Model, Prepared
from sorce.pictures.source import Source

Item = TypeVar("Item")
Result = TypeVar("Result")

LOOKUP = 500
"""Photos that the index is asked about at once."""

PICTURES_AT_ONCE = 128
"""What the network is given in one call, about: two of its batches."""


def until(watch: Watch, items: Iterable[Item]) -> Iterator[Item]:
    """The items, until the run is asked to stop."""
    for item in items:
        if watch.stop.is_set():
            return
        yield item


def compared(index: TargetIndex, sources: Iterable[Source | Rejected], retry: Retry) -> Iterator[Job | Rejected]:
    """Each source with what the index holds of it."""
    # What a run wrote that was killed need not be found by itself: an index may refresh seldom, or never.
    retry.ask(index.refresh)
    sources = iter(sources)
    while batch := list(islice(sources, LOOKUP)):
        ids = [source.photo_id for source in batch if isinstance(source, Source)]
        stored = retry.ask(partial(index.stored, ids))
        if stored is None:
            return
        for source in batch:
            yield source if isinstance(source, Rejected) else Job(source, stored.get(source.photo_id))


class Pace:
    """How many photos go to the network at once, and how many are decoded ahead of it.

    Methods differ by hundreds in the pictures that they cut out of a photo, or in the regions that they find in it, and
    only the network's answer tells how many those are.
    """

    def __init__(self, workers: int) -> None:
        self.photos = 1
        self._workers = workers

    @property
    def ahead(self) -> int:
        """Enough to decode the next batch while this one is encoded."""
        return self.photos + 2 * self._workers

    def learn(self, photos: int, pictures: int) -> None:
        # At most doubled, because a folder may begin with icons and go on with panoramas.
        self.photos = max(1, min(PICTURES_AT_ONCE * photos // max(pictures, 1), 2 * self.photos))


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], pace: Pace
) -> Iterator[Result]:
    """The results of `work` in the order of the items, whichever thread was first."""
    begun: deque[Future[Result]] = deque()
    for item in items:
        begun.append(pool.submit(work, item))
        while len(begun) > pace.ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def batches(
    outcomes: Iterable[Ready[Prepared] | Unchanged | Rejected], pace: Pace, stats: Stats
) -> Iterator[list[Ready[Prepared]]]:
    """What is to be encoded, by the batch; the rest is only counted. Ends when the run is asked to stop."""
    batch: list[Ready[Prepared]] = []
    for outcome in until(stats.watch, outcomes):
        if not isinstance(outcome, Ready):
            stats.settled(outcome)
            continue
        stats.decoded(outcome.seconds)
        batch.append(outcome)
        if len(batch) >= pace.photos:
            yield batch
            batch = []
    if batch and not stats.watch.stop.is_set():
        yield batch


def encoded(
    model: Model[Prepared], batches: Iterable[list[Ready[Prepared]]], pace: Pace, stats: Stats
) -> Iterator[tuple[Ready[Prepared], list[Region]]]:
    """Each photo with its regions."""
    for batch in batches:
        started = time.perf_counter()
        regions = model.encode([ready.prepared for ready in batch])
        stats.encoded(time.perf_counter() - started)
        for ready in batch:
            stats.noted(model.note(ready.photo.width, ready.photo.height))
        seen = (model.pictures(ready.prepared) for ready in batch)
        pace.learn(len(batch), sum(map(max, seen, map(len, regions))))
        yield from zip(batch, regions, strict=True)
