"""Synthetic photos in a real index, queries that resemble vectors of texts, and the right answers from numpy."""

from __future__ import annotations

import atexit
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opensearchpy import OpenSearch

from sorce.cluster import connect, find_index
from sorce.engine import running
from sorce.ingest.actions import WriteDocument, document_json
from sorce.ingest.guard import Guard
from sorce.ingest.optimize import optimize
from sorce.ingest.write import Sender, Sent, Writer
from sorce.mappings import Box, Photo, PhotoFile, Recipe, Region, Vector
from sorce.mappings.compression import FLOAT32
from sorce.mappings.document import document
from sorce.mappings.index import index_body
from sorce.models.model import TextEncoder
from sorce.plugin import ClientSearch, SearchRequest
from sorce.plugin.cluster.endpoint import PROBES

REGIONS = 17
QUERIES = 300
SIZE = 10
WIDTH, HEIGHT = 1600, 1200

CONCEPTS = 2000
GAP = 1.0
"""The length of the vector that all pictures share, and of the one that all texts share. A concept has length 1.

So pictures and texts lie in two cones that do not meet (Liang et al., "Mind the Gap", arXiv 2203.02053, section 2), and
a text is far from every picture.
"""

SCENE, OWN = 0.5, 0.5
"""The lengths of the vector that a photo's regions share, and of the part that is a region's or a text's own."""

BATCH = 1000
"""Photos that are compared at once."""

WRITES = "index.blocks.write"
"""Must be true while an index is cloned."""

WARM = 3000
"""Searches until Java has compiled their code; before that, a search takes up to twice as long."""

Numbers = NDArray[np.intp]


@dataclass(frozen=True)
class Shape:
    photos: int
    dimension: int

    def __str__(self) -> str:
        return f"{self.photos:,} x {REGIONS} x {self.dimension}-d"


WIDE, DEEP = Shape(20_000, 256), Shape(5_000, 768)


class Corpus:
    """`vectors` (photos, REGIONS, dimension) and `queries` (QUERIES, dimension), of length 1, the same in each run."""

    def __init__(self, shape: Shape) -> None:
        rng = np.random.default_rng(shape.dimension)
        self.shape = shape
        # A few directions have most of the variance, as in the spaces of real encoders.
        spread = np.arange(1, shape.dimension + 1) ** -0.5

        def some(*counts: int) -> NDArray[np.float32]:
            """Random vectors of about length 1."""
            drawn = rng.standard_normal((*counts, shape.dimension), np.float32) * spread.astype(np.float32)
            return np.asarray(drawn / np.linalg.norm(spread), np.float32)

        pictures, texts = GAP * _unit(rng.standard_normal((2, shape.dimension), np.float32))
        concepts = some(CONCEPTS)
        shown = rng.integers(0, CONCEPTS, (shape.photos, REGIONS))
        vectors = OWN * some(shape.photos, REGIONS)
        vectors += pictures + concepts[shown] + SCENE * some(shape.photos, 1)
        self.vectors = _unit(vectors)
        self.queries = _unit(texts + concepts[rng.integers(0, CONCEPTS, QUERIES)] + OWN * some(QUERIES))

    @cached_property
    def _scan(self) -> tuple[Vector, Numbers]:
        likeness, region = [], []
        for some in np.array_split(self.vectors, max(1, self.shape.photos // BATCH)):
            products = (some.reshape(-1, self.shape.dimension) @ self.queries.T).reshape(len(some), REGIONS, QUERIES)
            likeness.append(products.max(axis=1))
            region.append(products.argmax(axis=1))
        return np.concatenate(likeness).T, np.concatenate(region).T

    @property
    def likeness(self) -> Vector:
        """The cosine of each query with each photo's best region, (QUERIES, photos)."""
        return self._scan[0]

    @property
    def best_region(self) -> Numbers:
        """The number of that region, (QUERIES, photos)."""
        return self._scan[1]

    @cache  # noqa: B019  (a corpus lives as long as the process)
    def truth(self, photos: int | None = None) -> Numbers:
        """For each query the SIZE most similar photos, of the first `photos` or of all, (QUERIES, SIZE)."""
        return np.argpartition(-self.likeness[:, :photos], SIZE, axis=1)[:, :SIZE]

    def recall(self, found: Sequence[Iterable[int]], photos: int | None = None) -> float:
        """The share of the true SIZE photos that were found. `found` has the photos of the first queries."""
        asked = zip(found, self.truth(photos), strict=False)
        return float(np.mean([len(set(some) & set(true.tolist())) / SIZE for some, true in asked]))


def _unit(vectors: NDArray[np.float32]) -> Vector:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


@cache
def corpus_of(shape: Shape) -> Corpus:
    return Corpus(shape)


def text(query: int) -> str:
    """A text that stands for the query's vector, so that encoding takes no time."""
    return f"query {query}"


class Known(TextEncoder):
    """An encoder that looks up the vectors of `text(0)`, `text(1)` ..."""

    def __init__(self, queries: Vector) -> None:
        self._known = {text(number): vector for number, vector in enumerate(queries)}
        # `plugin install` compares the cluster's vectors with these; the service learns the dimension from them.
        self._known |= dict(zip((*PROBES, "a photo"), queries, strict=False))

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return np.stack([self._known[each] for each in texts])


def photo_id(photo: int) -> str:
    return f"{photo:032x}"


def box(region: int) -> Box:
    """The whole photo, and sixteen tiles."""
    if region == 0:
        return Box(0, 0, WIDTH, HEIGHT)
    across, down = WIDTH / 4, HEIGHT / 4
    row, column = divmod(region - 1, 4)
    return Box(column * across, row * down, (column + 1) * across, (row + 1) * down)


def write(photo: int, vectors: Vector) -> WriteDocument:
    """The document of one photo of the corpus, as ingest writes it."""
    regions = [Region(box(number), vector, "tile" if number else "whole") for number, vector in enumerate(vectors)]
    return write_regions(photo, regions)


def write_regions(photo: int, regions: Sequence[Region]) -> WriteDocument:
    """As `write`, for any regions; the first region is the whole photo."""
    name, whole = f"{photo}.jpg", regions[0].box
    file = PhotoFile(photo_id(photo), f"file:///photos/{name}", name, "/photos", f"{photo:064x}", 1_000_000)
    body = document(Photo(file, int(whole.x2), int(whole.y2)), regions, datetime.now(UTC))
    return WriteDocument(name, file.photo_id, "new", None, document_json(body), len(regions))


@cache
def cluster() -> OpenSearch:
    """One OpenSearch for all measures of a run."""
    closing = ExitStack()
    atexit.register(closing.close)
    return connect(closing.enter_context(running(heap="2g")))


class Indexed:
    """The first photos of a corpus, indexed with sorce's default settings. `seconds` is the time of writing.

    `merging` is the part of it that a merge took.
    """

    merging = 0.0

    def __init__(self, shape: Shape, photos: int, compression: str = FLOAT32) -> None:
        self.corpus, self.photos, self.client = corpus_of(shape), photos, cluster()
        self.name = f"corpus-{shape.photos}-{shape.dimension}-{photos}-{compression}"
        recipe = Recipe("synthetic", "1", "tiles", shape.dimension, "numpy")
        body = index_body(recipe, {"index.number_of_replicas": 0}, compression=compression)
        self.client.indices.create(index=self.name, body=body)
        started = time.monotonic()
        with Writer(Sender(self.client, Guard.of(find_index(self.client, self.name))), refuse_rejects) as writer:
            for number in range(photos):
                writer.add(write(number, self.corpus.vectors[number]))
        self.client.indices.refresh(index=self.name, params={"request_timeout": 600})
        self.seconds = time.monotonic() - started
        self._settle()
        self._warm()

    def _settle(self) -> None:
        """Waits until no merge runs: a merge would slow some searches and not others."""
        while self.stats()["merges"]["current"]:
            time.sleep(0.2)

    def _warm(self) -> None:
        searcher = self.searcher()
        for number in range(WARM):
            searcher.search(SearchRequest([text(number % QUERIES)]))

    def merged(self) -> Indexed:
        """A copy, merged to one segment as by `sorce ingest --optimize`. Its `seconds` include the merge."""
        other = copy(self)
        other.name = f"{self.name}-merged"
        self._be_writable(False)
        self.client.indices.clone(index=self.name, target=other.name, body={"settings": {WRITES: False}})
        self._be_writable(True)
        other.merging = optimize(other.client, [other.name]).seconds
        other.seconds += other.merging
        other._warm()
        return other

    def _be_writable(self, is_writable: bool) -> None:
        self.client.indices.put_settings(index=self.name, body={WRITES: not is_writable})

    def searcher(self) -> ClientSearch:
        """A search for `text(0)`, `text(1)` ..."""
        known = Known(self.corpus.queries)
        return ClientSearch(self.client, self.name, lambda _: known)

    def files(self) -> dict[str, int]:
        """The bytes of the index's files by kind. The kind is Lucene's file ending of three letters."""
        # Not from the statistic `store`, which is up to ten seconds old.
        sizes = self.stats()["segments"]["file_sizes"]
        return {kind: size["size_in_bytes"] for kind, size in sizes.items()}

    def stats(self) -> dict[str, Any]:
        params = {"include_segment_file_sizes": "true"}
        found: dict[str, Any] = self.client.indices.stats(index=self.name, params=params)["indices"][self.name]
        return dict(found["primaries"])


def refuse_rejects(sent: Sent) -> None:
    """For a `Writer`: synthetic photos must never be rejected. Raises RuntimeError."""
    if sent.rejected:
        raise RuntimeError(f"a synthetic photo was not indexed: {sent.rejected[0]}")


@cache
def indexed(shape: Shape, photos: int, compression: str = FLOAT32) -> Indexed:
    """The index, made once per run."""
    return Indexed(shape, photos, compression)
