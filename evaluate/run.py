"""A benchmark by one recipe: pictures in, texts asked, figures out; the index is the run's own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.evaluate import protocols
from sorce.evaluate.ask import Ask, Encoded, InCluster, in_memory
from sorce.evaluate.drawing import draw
from sorce.evaluate.figures import Figure
from sorce.evaluate.ground_truth import GroundTruth
from sorce.evaluate.readers import coco, lines, sorce1k, sorec, yolo
from sorce.ingest import ingest_photos
from sorce.ingest.progress import Progress
from sorce.mappings import Recipe, Rejected
from sorce.models import Model

MERGE_TIMEOUT = 3600


@dataclass(frozen=True, slots=True)
class Benchmark:
    read: Callable[[Path, Path | None], GroundTruth]
    judge: protocols.Protocol


BENCHMARKS: Mapping[str, Benchmark] = {
    "sorce-1k": Benchmark(sorce1k.read, protocols.sorce_1k),
    "sorec": Benchmark(sorec.read, protocols.sorec),
    "coco": Benchmark(coco.read, protocols.classes),
    "yolo": Benchmark(yolo.read, protocols.classes),
    "lines": Benchmark(lines.read, protocols.classes),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a recipe took: photos, their regions, seconds of the ingest; the index's size, and name if it is kept."""

    photos: int
    regions: int
    seconds: float
    index_bytes: int | None = None
    index: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A recipe's cost and figures, the pictures that could not be indexed, and what could not be asked in full."""

    recipe: Recipe
    cost: Cost
    rejected: list[Rejected]
    figures: list[Figure]
    remarks: tuple[str, ...]


class Listener(Progress):
    """Shows how a run goes, and keeps the rejects."""

    def __init__(self, photos: int) -> None:
        super().__init__(photos, None, quiet=False)
        self.rejects: list[Rejected] = []

    def rejected(self, reject: Rejected) -> None:
        super().rejected(reject)
        self.rejects.append(reject)


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """How recipes are tried: in OpenSearch, or exactly in memory where there is no client.

    `keep` leaves the index there; `progress` shows how far the texts are.
    """

    benchmark: Benchmark
    truth: GroundTruth
    client: OpenSearch | None
    keep: bool
    progress: protocols.Progress

    def __call__(self, model: Model[Any], pictures: Path | None) -> Result:
        """Tries a recipe; draws finds and misses into the folder `pictures`. Raises ClusterError, QueryError."""
        encoded = Encoded(model, [query.text for query in self.truth.queries])
        listener = Listener(len(self.truth.pictures))
        with self._asked(model, encoded, listener) as (ask, cost):
            outcome = self.benchmark.judge(self.truth, ask, self.progress)
            if pictures is not None:
                draw(outcome.asked, ask, pictures)
        return Result(model.recipe, cost, listener.rejects, outcome.figures, ask.remarks.sentences())

    @contextmanager
    def _asked(self, model: Model[Any], encoded: Encoded, listener: Listener) -> Iterator[tuple[Ask, Cost]]:
        sources = [picture.source for picture in self.truth.pictures.values()]
        if self.client is None:
            started = time.perf_counter()
            with listener:
                ask, regions = in_memory(model, encoded, sources, listener)
            yield ask, Cost(len(sources) - len(listener.rejects), regions, time.perf_counter() - started)
            return
        with translate_errors(address(self.client)), index_of_its_own(self.client, self.keep) as index:
            with listener:
                report = ingest_photos(self.client, index, model, sources, watch=listener)
            size = merged_size(self.client, index)
            cost = Cost(report.new, report.regions, report.seconds, size, index if self.keep else None)
            yield InCluster(self.client, index, encoded), cost


@contextmanager
def index_of_its_own(client: OpenSearch, keep: bool) -> Iterator[str]:
    """The name of an index that nobody has, which is removed at the end, however it comes, unless it is to be kept."""
    name = f"sorce-evaluate-{uuid.uuid4().hex[:12]}"
    try:
        yield name
    finally:
        if not keep:
            client.indices.delete(index=name, params={"ignore_unavailable": "true"})


def merged_size(client: OpenSearch, index: str) -> int:
    """Bytes of an index of one segment a shard, so that recipes are compared and not the luck of merging."""
    client.indices.forcemerge(index=index, params={"max_num_segments": 1, "request_timeout": MERGE_TIMEOUT})
    client.indices.refresh(index=index)
    # Of its segments: the size in the index's statistics is up to 10 s old.
    shards = client.indices.segments(index=index)["indices"][index]["shards"].values()
    primaries = [copy for copies in shards for copy in copies if copy["routing"]["primary"]]
    return sum(
        segment["size_in_bytes"] for copy in primaries for segment in copy["segments"].values() if segment["search"]
    )
