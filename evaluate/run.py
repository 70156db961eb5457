"""A benchmark with one recipe: pictures are indexed in an index of the run's own, and the metrics are computed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.errors import GroundTruthError
from sorce.evaluate import protocols
from sorce.evaluate.bootstrap import Metric
from sorce.evaluate.drawing import draw
from sorce.evaluate.ground_truth import GroundTruth
from sorce.evaluate.readers import coco, labels, lines, sorce1k, sorec, yolo
from sorce.evaluate.retrievers import EncodedTexts, OpenSearchRetriever, Retriever, empty_retriever, exact_retriever
from sorce.evaluate.second_look import SecondLook
from sorce.ingest import ingest_photos
from sorce.ingest.progress import Progress
from sorce.mappings import Localiser, Recipe, Rejected
from sorce.models import Model
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool

MERGE_TIMEOUT = 3600
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """How the label file of a benchmark is read, and by which protocol it is evaluated."""

    read: Callable[[Path, Path | None], GroundTruth]
    protocol: protocols.EvaluationProtocol


BENCHMARKS: Mapping[str, Benchmark] = {
    "sorce-1k": Benchmark(sorce1k.read, protocols.sorce_1k),
    "sorec": Benchmark(sorec.read, protocols.sorec),
    "coco": Benchmark(coco.read, protocols.classes),
    "yolo": Benchmark(yolo.read, protocols.classes),
    "lines": Benchmark(lines.read, protocols.classes),
    "locate": Benchmark(labels.read, protocols.sorec),
}

OF_BOXES = ("locate", "sorec")
"""Benchmarks of the box in a given photo: a localiser may look at it again."""


@dataclass(frozen=True, slots=True)
class IndexCost:
    """The cost of a recipe: photos, their regions, the seconds of the ingest, and the bytes of the index.

    `index_bytes` is None in memory. `index` is the index's name if it is kept.
    """

    photos: int
    regions: int
    seconds: float
    index_bytes: int | None = None
    index: str | None = None


@dataclass(frozen=True, slots=True)
class RecipeResult:
    """A recipe's cost and metrics, the pictures that could not be indexed, remarks, and each query's result."""

    recipe: Recipe
    cost: IndexCost
    rejected: list[Rejected]
    metrics: list[Metric]
    remarks: tuple[str, ...]
    answers: tuple[protocols.QueryResult, ...] = ()

    def metric(self, name: str) -> Metric:
        """The metric with this name. Raises KeyError, which lists the names that exist."""
        found = {each.name: each for each in self.metrics}
        if name not in found:
            raise KeyError(f"there is no metric '{name}'; there are {', '.join(found)}.")
        return found[name]


class RunProgress(Progress):
    """Shows the progress of the ingest, and collects the rejected pictures."""

    def __init__(self, photos: int) -> None:
        super().__init__(photos, None, quiet=False)
        self.rejects: list[Rejected] = []

    def rejected(self, reject: Rejected) -> None:
        super().rejected(reject)
        self.rejects.append(reject)


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """A benchmark on which recipes are evaluated: in OpenSearch, or exactly, in memory, if there is no client.

    `keep` leaves the index in the cluster. `progress` passes the queries on, and may show the progress. `localiser`
    gives, for a recipe's model, what looks at the photos again; it is None without a second stage.
    """

    benchmark: Benchmark
    truth: GroundTruth
    client: OpenSearch | None = None
    keep: bool = False
    progress: protocols.QueryProgress = protocols.silent
    localiser: Callable[[Model[Any]], Localiser] | None = None

    @classmethod
    def of(
        cls, benchmark: str, folder: str | Path, truth: str | Path | None = None, client: OpenSearch | None = None
    ) -> BenchmarkRun:
        """Reads a benchmark of BENCHMARKS by its name. `truth` is the label file, if it is not the one in the folder.

        Raises GroundTruthError.
        """
        if benchmark not in BENCHMARKS:
            raise GroundTruthError(f"there is no benchmark '{benchmark}'; choose one of {', '.join(BENCHMARKS)}.")
        chosen = BENCHMARKS[benchmark]
        return cls(chosen, chosen.read(Path(folder), None if truth is None else Path(truth)), client)

    def __call__(self, model: Model[Any], drawings: Path | None = None) -> RecipeResult:
        """Evaluates a recipe, and draws found and missed queries into the folder `drawings`.

        Raises ClusterError, QueryError; SorceError where the drawings cannot be written.
        """
        encoded = EncodedTexts(model, [query.text for query in self.truth.queries])
        # Before the ingest: a localiser that cannot be opened is refused before any work.
        localiser = None if self.localiser is None else self.localiser(model)
        progress = RunProgress(len(self.truth.pictures))
        with self._indexed(model, encoded, progress) as (retriever, cost):
            found = self._found(localiser, retriever)
            for sentence in [] if drawings is None else draw(found.queries, retriever, drawings):
                retriever.remarks.add("drawings with a grey page in place of a photo", sentence)
        return RecipeResult(
            model.recipe, cost, progress.rejects, found.metrics, retriever.remarks.sentences(), tuple(found.queries)
        )

    def _found(self, localiser: Localiser | None, retriever: Retriever) -> protocols.ProtocolResult:
        if localiser is None:
            return self.benchmark.protocol(self.truth, retriever, self.progress)
        with closing(DecoderPool(DecodeLimits())) as decoders:
            second = SecondLook(localiser, self.truth.pictures, decoders, retriever.remarks)
            return protocols.sorec(self.truth, retriever, self.progress, second)

    @contextmanager
    def _indexed(
        self, model: Model[Any], encoded: EncodedTexts, progress: RunProgress
    ) -> Iterator[tuple[Retriever, IndexCost]]:
        sources = [picture.source for picture in self.truth.pictures.values()]
        if self.client is None:
            started = time.perf_counter()
            with progress:
                retriever, regions = exact_retriever(model, encoded, sources, progress)
            yield retriever, IndexCost(len(sources) - len(progress.rejects), regions, time.perf_counter() - started)
            return
        with translate_errors(address(self.client)), index_of_its_own(self.client, self.keep) as index:
            with progress:
                report = ingest_photos(self.client, index, model, sources, watch=progress)
            if not report.new:
                # An index is made with its first photo. Without photos there is no index to search.
                yield empty_retriever(encoded), IndexCost(0, 0, report.seconds)
                return
            size = merged_size(self.client, index)
            cost = IndexCost(report.new, report.regions, report.seconds, size, index if self.keep else None)
            yield OpenSearchRetriever(self.client, index, encoded), cost


@contextmanager
def index_of_its_own(client: OpenSearch, keep: bool) -> Iterator[str]:
    """The name of a new index. It is removed at the end, also after an error, unless it is to be kept."""
    name = f"sorce-evaluate-{uuid.uuid4().hex[:12]}"
    try:
        yield name
    finally:
        if not keep:
            client.indices.delete(index=name, params={"ignore_unavailable": "true"})


def merged_size(client: OpenSearch, index: str) -> int:
    """The bytes of the index, merged to one segment per shard. Otherwise the size would depend on random merges."""
    client.indices.forcemerge(index=index, params={"max_num_segments": 1, "request_timeout": MERGE_TIMEOUT})
    client.indices.refresh(index=index)
    # The size of its segments, since the size in the index's statistics is up to 10 s old.
    shards = client.indices.segments(index=index)["indices"][index]["shards"].values()
    primaries = [copy for copies in shards for copy in copies if copy["routing"]["primary"]]
    return sum(
        segment["size_in_bytes"] for copy in primaries for segment in copy["segments"].values() if segment["search"]
    )
