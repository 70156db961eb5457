"""Ranking by product compared with numpy, and how many candidates the proof of its order needs.

The corpus is synthetic: 1,500 photos of 20 objects, each with 5 overlapping proposals. The objects are of 400 concepts
with Zipf frequencies, and a tighter proposal has a cleaner vector. Text vectors and pictures share a mean direction.
The bias is set so that the median query's own object has the logit `x_gt`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
from figures import Line, exactly
from numpy.typing import NDArray
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.engine import running
from sorce.mappings import Box, Photo, PhotoFile, Recipe, Region, Vector
from sorce.mappings.document import document
from sorce.mappings.index import index_body
from sorce.models.model import TextEncoder
from sorce.plugin import ClientSearch, SearchRequest

SEED = 11
PHOTOS, OBJECTS, PROPOSALS, DIMENSION = 1500, 20, 5, 256
CONCEPTS, QUERIES = 400, 300
SCALE = 20.0
LOGITS = (-4, -1, 0, 1, 2, 4)
INDEX, SIZE, CHUNK = "product", 10, 100
MAX_K = 2 * PHOTOS

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Corpus:
    """`regions` (photos, regions, dimension) and `queries` are unit vectors; `quality` (photos, regions) is in 0..1.
    `homes` has for each query the photo with the object that the query was made from.
    """

    regions: Vector
    quality: Numbers
    queries: Vector
    homes: NDArray[np.int64]

    def cosines(self, query: int) -> Numbers:
        """The cosine of each region with a query, (photos, regions)."""
        found: Numbers = (self.regions @ self.queries[query]).astype(np.float64)
        return found


class Numbered(TextEncoder):
    """An encoder whose texts are the numbers of the queries."""

    def __init__(self, vectors: Vector) -> None:
        self._vectors = vectors

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self._vectors[[int(text) for text in texts]]


class Counting(ClientSearch):
    """Records the number of candidates of the last answer."""

    k = 0

    def _ask(self, body: Any, allow_partial: bool) -> Any:
        if "from" in body:
            self.k = body["from"] + 1
        return super()._ask(body, allow_partial)


def measures() -> Iterator[Line]:
    corpus = made(np.random.default_rng(SEED))
    typical = float(np.median([corpus.cosines(i)[home].max() for i, home in enumerate(corpus.homes)]))
    with running(heap="2g") as url:
        client = connect(url)
        recipe = Recipe("synthetic", str(SEED), "objects", DIMENSION, "numpy")
        load(client, corpus, recipe)
        for logit in LOGITS:
            matching = {"scale": SCALE, "bias": logit - SCALE * typical}
            yield from ranked(client, corpus, replace(recipe, matching=matching), f"x_gt {logit:+d}")
        yield from ranked(client, corpus, recipe, "cos * quality")


def unit(vectors: Numbers) -> Numbers:
    found: Numbers = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return found


def made(rng: np.random.Generator) -> Corpus:
    def directions(*shape: int) -> Numbers:
        return unit(rng.normal(size=(*shape, DIMENSION)))

    objects = PHOTOS * OBJECTS
    mean, concepts = directions(), directions(CONCEPTS)
    kinds = rng.zipf(1.3, size=4 * objects)
    shown = concepts[kinds[kinds <= CONCEPTS][:objects] - 1] + 0.8 * directions(objects)
    overlap = rng.beta(3, 1.6, size=(objects, PROPOSALS)).clip(0.05, 0.98)
    overlap[:, 0] = rng.uniform(0.7, 0.97, size=objects)
    blur = 0.45 * (1.6 - overlap)[..., None] * directions(objects, PROPOSALS)
    regions = unit(0.6 * mean + shown[:, None] + blur)
    logits = np.log(overlap / (1 - overlap)) + rng.normal(scale=0.6, size=overlap.shape)
    targets = rng.choice(objects, QUERIES, replace=False)
    queries = unit(0.6 * mean + shown[targets] + 0.55 * directions(QUERIES))
    return Corpus(
        regions.reshape(PHOTOS, -1, DIMENSION).astype(np.float32),
        (1 / (1 + np.exp(-logits))).clip(0.03, 0.98).reshape(PHOTOS, -1),
        queries.astype(np.float32),
        targets // OBJECTS,
    )


def load(client: OpenSearch, corpus: Corpus, recipe: Recipe) -> None:
    client.indices.create(index=INDEX, body=index_body(recipe, {"index.number_of_replicas": 0}))
    for start in range(0, PHOTOS, CHUNK):
        lines = b"".join(line for i in range(start, start + CHUNK) for line in _lines(i, corpus))
        answer = client.bulk(body=lines, index=INDEX, params={"request_timeout": 300})
        if answer["errors"]:
            raise RuntimeError(f"the engine did not take all of the corpus: {answer['items'][0]}")
    client.indices.refresh(index=INDEX, params={"request_timeout": 600})


def _lines(i: int, corpus: Corpus) -> Iterator[bytes]:
    file = PhotoFile(f"{i:032x}", f"file:///{i}.jpg", f"{i}.jpg", "/", str(i), 1)
    box = Box(0, 0, 100, 100)
    regions = [
        Region(box, vec, "object", float(quality))
        for vec, quality in zip(corpus.regions[i], corpus.quality[i], strict=True)
    ]
    body = document(Photo(file, 100, 100), regions, datetime.now(UTC))
    yield orjson.dumps({"index": {"_id": file.photo_id}}) + b"\n"
    yield orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def ranked(client: OpenSearch, corpus: Corpus, recipe: Recipe, name: str) -> Iterator[Line]:
    """Another scale and bias for the same index. Nothing is indexed again."""
    client.indices.put_mapping(index=INDEX, body={"_meta": {"sorce": {"recipe": recipe.to_meta()}}})
    search = Counting(client, INDEX, lambda _: Numbered(corpus.queries))
    wanted = [order(corpus, i, recipe) for i in range(QUERIES)]
    request = SearchRequest(["0"], size=SIZE, rank="product", max_k=MAX_K, fold=None)
    usual = [taken(search, i, wanted[i], request) for i in range(QUERIES)]
    yield exactly(f"product, {name}: first ten as numpy's", same(usual), QUERIES, "default settings: a scan")
    yield Line(f"product, {name}: milliseconds a search", milliseconds(usual))
    proved = [taken(search, i, wanted[i], replace(request, k=SIZE)) for i in range(QUERIES)]
    by = f"product, {name}, by the graph"
    note = f"of {QUERIES}, {sum(each.proved for each in proved)} proved as far as the graph goes"
    yield Line(f"{by}: first ten as numpy's", same(proved), note=note)
    yield Line(f"{by}: milliseconds a search", milliseconds(proved))
    ks = [each.k for each in proved]
    note = f"of {PHOTOS}, doubled from {SIZE} on; median {np.median(ks):.0f}, p95 {np.quantile(ks, 0.95):.0f}"
    yield Line(f"{by}: most candidates that a proof needed", max(ks), note=note)


@dataclass(frozen=True)
class Taken:
    """One search: whether its order is numpy's and proved, its number of candidates, and its milliseconds."""

    same: bool
    proved: bool
    k: int
    took: float


def same(those: Sequence[Taken]) -> int:
    return sum(each.same for each in those)


def milliseconds(those: Sequence[Taken]) -> float:
    return float(np.median([each.took for each in those]))


def taken(search: Counting, query: int, wanted: list[int], request: SearchRequest) -> Taken:
    asked = replace(request, phrases=[str(query)])
    started = time.perf_counter()
    hits = search.search(asked)
    took = 1000 * (time.perf_counter() - started)
    alike = [int(hit.photo_id, 16) for hit in hits] == wanted
    return Taken(alike, not any(hit.unproved for hit in hits), search.k, took)


def order(corpus: Corpus, query: int, recipe: Recipe) -> list[int]:
    """The first photos according to numpy, over all regions."""
    cosines, likeness = corpus.cosines(query), _likeness(recipe)
    best = (likeness(cosines) * corpus.quality).max(axis=1)
    return [int(photo) for photo in np.argsort(-best, kind="stable")[:SIZE]]


def _likeness(recipe: Recipe) -> Callable[[Numbers], Numbers]:
    if not recipe.matching:
        return lambda cosines: cosines
    scale, bias = recipe.matching["scale"], recipe.matching["bias"]
    return lambda cosines: 1 / (1 + np.exp(-(scale * cosines + bias)))
