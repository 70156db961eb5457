"""Photos of objects with a quality, synthetic, in an index; and their order by product according to numpy.

Each photo has 20 objects with 5 overlapping proposals each. The objects are of 400 concepts with Zipf frequencies, and
a tighter proposal has a cleaner vector. Text vectors and pictures share a mean direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import orjson
from numpy.typing import NDArray
from opensearchpy import OpenSearch

from sorce.mappings import Box, Photo, PhotoFile, Recipe, Region, Vector
from sorce.mappings.document import document
from sorce.mappings.index import index_body
from sorce.models.model import TextEncoder

SEED = 11
OBJECTS, PROPOSALS, DIMENSION = 20, 5, 256
REGIONS = OBJECTS * PROPOSALS
CONCEPTS, QUERIES = 400, 300
SCALE = 20.0
SIZE, CHUNK = 10, 100
RECIPE = Recipe("synthetic", str(SEED), "objects", DIMENSION, "numpy")

Numbers = NDArray[np.float64]
Order = Mapping[int, float]
"""The first photos, best first, each with its score: more than are asked for, so that a photo after them is known."""


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

    def recipe(self, logit: float) -> Recipe:
        """The recipe with the bias that gives the median query's own object this logit."""
        own = [(self.regions[home] @ self.queries[i]).max() for i, home in enumerate(self.homes)]
        return replace(RECIPE, matching={"scale": SCALE, "bias": logit - SCALE * float(np.median(own))})

    def orders(self, recipes: Sequence[Recipe]) -> list[list[Order]]:
        """For each recipe and query the first photos according to numpy, over all regions."""
        found: list[list[Order]] = [[] for _ in recipes]
        for query in range(QUERIES):
            cosines = self.cosines(query)
            for recipe, orders in zip(recipes, found, strict=True):
                best = (_likeness(recipe)(cosines) * self.quality).max(axis=1)
                orders.append(
                    {int(photo): float(best[photo]) for photo in np.argsort(-best, kind="stable")[: 2 * SIZE]}
                )
        return found


class Numbered(TextEncoder):
    """An encoder whose texts are the numbers of the queries."""

    def __init__(self, vectors: Vector) -> None:
        self._vectors = vectors

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self._vectors[[int(text) for text in texts]]


def made(photos: int) -> Corpus:
    rng = np.random.default_rng(SEED)
    mean, concepts = _directions(rng), _directions(rng, CONCEPTS)
    kinds = rng.zipf(1.3, size=8 * photos * OBJECTS)
    kinds = kinds[kinds <= CONCEPTS][: photos * OBJECTS] - 1
    targets = rng.choice(photos * OBJECTS, QUERIES, replace=False)
    regions, quality, shown = [], [], []
    # In parts: in float64, the regions of 10,000 photos would take several times 2 GB.
    for some in np.array_split(kinds, -(-photos // 1000)):
        objects = concepts[some] + 0.8 * _directions(rng, len(some))
        overlap = rng.beta(3, 1.6, size=(len(some), PROPOSALS)).clip(0.05, 0.98)
        overlap[:, 0] = rng.uniform(0.7, 0.97, size=len(some))
        blur = 0.45 * (1.6 - overlap)[..., None] * _directions(rng, len(some), PROPOSALS)
        logits = np.log(overlap / (1 - overlap)) + rng.normal(scale=0.6, size=overlap.shape)
        regions.append(_unit(0.6 * mean + objects[:, None] + blur).astype(np.float32))
        quality.append((1 / (1 + np.exp(-logits))).clip(0.03, 0.98))
        shown.append(objects.astype(np.float32))
    queries = _unit(0.6 * mean + np.concatenate(shown)[targets] + 0.55 * _directions(rng, QUERIES))
    return Corpus(
        np.concatenate(regions).reshape(photos, REGIONS, DIMENSION),
        # As the index stores it: two photos must not be in another order because of numbers that only numpy has.
        np.concatenate(quality).reshape(photos, REGIONS).astype(np.float32).astype(np.float64),
        queries.astype(np.float32),
        targets // OBJECTS,
    )


def load(client: OpenSearch, corpus: Corpus, index: str) -> None:
    client.indices.create(index=index, body=index_body(RECIPE, {"index.number_of_replicas": 0}))
    for start in range(0, len(corpus.regions), CHUNK):
        numbers = range(start, min(start + CHUNK, len(corpus.regions)))
        lines = b"".join(line for i in numbers for line in _lines(i, corpus))
        answer = client.bulk(body=lines, index=index, params={"request_timeout": 300})
        if answer["errors"]:
            raise RuntimeError(f"the engine did not take all of the corpus: {answer['items'][0]}")
    client.indices.refresh(index=index, params={"request_timeout": 600})


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


def _directions(rng: np.random.Generator, *shape: int) -> Numbers:
    return _unit(rng.normal(size=(*shape, DIMENSION)))


def _unit(vectors: Numbers) -> Numbers:
    found: Numbers = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return found


def _likeness(recipe: Recipe) -> Callable[[Numbers], Numbers]:
    if not recipe.matching:
        return lambda cosines: cosines
    scale, bias = recipe.matching["scale"], recipe.matching["bias"]
    return lambda cosines: 1 / (1 + np.exp(-(scale * cosines + bias)))
