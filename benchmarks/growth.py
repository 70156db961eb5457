"""Latency and size while a corpus doubles, a curve fitted to them, and its forecast for up to ten million photos."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from corpus import REGIONS, WIDE, Indexed, Shape, indexed, text
from figures import Line
from timing import Latencies, latencies

from sorce.plugin import SearchRequest

SMALLEST, TIMES = 5_000, (1, 2, 4, 8)
QUERIES = 300
ROUNDS = 10
SCANS = 20
"""Queries by full scan. They are fewer, since a scan takes many times as long."""

SHARD_BYTES = 40e9
"""The largest shard; OpenSearch advises 10 to 50 GB."""

IN_MEMORY = ("vec", "vex")
"""The endings of Lucene's files of vectors and graphs. If they are in memory, a search does not wait for the disk."""

FORESEEN = (10_000, 100_000, 1_000_000, 10_000_000)


@dataclass(frozen=True)
class Curve:
    """milliseconds = `smallest` + `doubling` * log2(photos / `base`), fitted by least squares."""

    smallest: float
    doubling: float
    base: int

    @classmethod
    def through(cls, photos: Sequence[int], milliseconds: Sequence[float]) -> Curve:
        base = photos[0]
        doubling, smallest = np.polyfit(np.log2(np.array(photos) / base), milliseconds, 1)
        return cls(float(smallest), float(doubling), base)

    def at(self, photos: float) -> float:
        return self.smallest + self.doubling * math.log2(photos / self.base)


def measures() -> Iterator[Line]:
    sizes = [times * SMALLEST for times in TIMES]
    shape = Shape(sizes[-1], WIDE.dimension)
    indices = [indexed(shape, photos) for photos in sizes]
    name = f"growth, {REGIONS} x {shape.dimension}-d"
    asks = {index.name: asking(index, exact=False) for index in indices}
    taken = latencies(asks, QUERIES, ROUNDS)
    scans = latencies({index.name: asking(index, exact=True) for index in indices}, SCANS, 1)
    smallest = taken[indices[0].name]
    for index in indices:
        recall = index.corpus.recall([asks[index.name](query) for query in range(QUERIES)], index.photos)
        yield from measured(f"{name}: {index.photos:,} photos", index, recall, taken[index.name], smallest)
        scan = scans[index.name].p50
        ratio = scan / taken[index.name].p50
        yield Line(f"{name}: {index.photos:,} photos, full scan / graph (p50)", ratio, note=f"{scan:.0f} ms")
    curve = Curve.through(sizes, [taken[index.name].p50 for index in indices])
    fitted = f"p50 = {curve.smallest:.2f} + {curve.doubling:.2f} * log2(photos / {curve.base:,})"
    yield Line(f"{name}: ms that each doubling adds", curve.doubling, note=fitted)
    for photos in FORESEEN:
        yield from foreseen(f"{name}: foreseen for {photos:,} photos", photos, indices[-1], curve)


def measured(name: str, index: Indexed, recall: float, taken: Latencies, smallest: Latencies) -> Iterator[Line]:
    segments = index.stats()["segments"]["count"]
    yield Line(f"{name}, p50 ms", taken.p50, note=f"recall@10 {recall:.3f}, {segments} segments")
    yield Line(f"{name}, p95 ms", taken.percentile(95))
    ratio, note = taken.over(smallest)
    yield Line(f"{name}, times the smallest's p50", ratio, note=note)
    yield Line(f"{name}, kB a photo", sum(index.files().values()) / index.photos / 1000)


def foreseen(name: str, photos: int, largest: Indexed, curve: Curve) -> Iterator[Line]:
    """A row of the sizing table.

    Bytes grow in proportion. Milliseconds follow the curve for one shard, since shards are searched in parallel.
    """
    files = largest.files()
    disk, memory = (
        photos / largest.photos * size for size in (sum(files.values()), sum(files[kind] for kind in IN_MEMORY))
    )
    shards = math.ceil(disk / SHARD_BYTES)
    yield Line(f"{name}, shards", shards, note=f"of at most {SHARD_BYTES / 1e9:.0f} GB")
    yield Line(f"{name}, disk GB", disk / 1e9, note="without replicas")
    yield Line(f"{name}, memory GB", memory / 1e9, note="vectors and graphs; beside the heap")
    note = "where each shard has cores of its own, and ef_search stays as it is, for a little less recall"
    yield Line(f"{name}, p50 ms", curve.at(photos / shards), note=note)


def asking(index: Indexed, *, exact: bool) -> Callable[[int], list[int]]:
    client = index.searcher()
    return lambda query: [
        int(hit.photo_id, 16) for hit in client.search(SearchRequest([text(query)], exact=exact, fold=None))
    ]
