"""An index whose graph holds a byte per number, compared with one that holds float32: what it finds, bytes, time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from corpus import DEEP, QUERIES, SIZE, WIDE, Corpus, Indexed, Shape, indexed, text
from figures import Line, at_least, exactly
from timing import latencies

from sorce.mappings import Hits
from sorce.mappings.compression import FLOAT32, INT8
from sorce.plugin import SearchRequest

PHOTOS = {shape: int(os.environ.get(f"INT8_PHOTOS_{shape.dimension}", shape.photos)) for shape in (WIDE, DEEP)}
"""A smaller number of photos for a first look: INT8_PHOTOS_256=2000 INT8_PHOTOS_768=500."""

ROUNDS = 10
RECALL = 0.99
TIMES = (1, 3, 10)
"""How many candidates the graph proposes, in times the photos asked for."""

IN_GRAPH = {FLOAT32: ("vec", "vex"), INT8: ("veq", "vex")}
"""The endings of Lucene's files that a search of the graph reads."""

CLOSE = 1e-5

Search = Callable[[int], Hits]


def measures() -> Iterator[Line]:
    for whole, photos in PHOTOS.items():
        yield from compared(Shape(photos, whole.dimension))


def compared(shape: Shape) -> Iterator[Line]:
    full, small = (indexed(shape, shape.photos, each) for each in (FLOAT32, INT8))
    searches = {"float32": searching(full, None)}
    searches |= {f"int8, {times} x candidates": searching(small, times * SIZE) for times in TIMES}
    taken = latencies(searches, QUERIES, ROUNDS)
    for name, search in searches.items():
        found, what = [search(query) for query in range(QUERIES)], f"int8, {shape}: {name}"
        yield from judged(what, full.corpus, found, has_bar=name == f"int8, {TIMES[-1]} x candidates")
        ratio, note = taken[name].over(taken["float32"])
        yield Line(f"{what}, p50 ms", taken[name].p50)
        yield Line(f"{what}, p50 / float32's", ratio, note=note)
    yield from sizes(f"int8, {shape}", full, small)


def searching(index: Indexed, k: int | None) -> Search:
    client = index.searcher()
    return lambda query: client.search(SearchRequest([text(query)], k=k, size=SIZE, fold=None))


def judged(name: str, corpus: Corpus, found: Sequence[Hits], *, has_bar: bool) -> Iterator[Line]:
    recall = corpus.recall([[int(hit.photo_id, 16) for hit in hits] for hits in found])
    yield at_least(f"{name}, recall@10", recall, RECALL) if has_bar else Line(f"{name}, recall@10", recall)
    right, scores = list[bool](), list[float]()
    for query, hits in enumerate(found):
        for hit in hits:
            photo = int(hit.photo_id, 16)
            right.append(hit.best.region_id == corpus.best_region[query, photo])
            scores.append(abs(hit.similarity - corpus.likeness[query, photo]))
    yield exactly(f"{name}, share of hits with the best box", float(np.mean(right)), 1)
    yield exactly(f"{name}, share of hits with the exact score", float(np.mean(np.array(scores) < CLOSE)), 1)


def sizes(name: str, full: Indexed, small: Indexed) -> Iterator[Line]:
    """Of both indices: all bytes of a photo, and those that a search of the graph reads."""
    for what, index, kinds in (("float32", full, IN_GRAPH[FLOAT32]), ("int8", small, IN_GRAPH[INT8])):
        files = index.files()
        note = ", ".join(f"{kind} {size / index.photos / 1000:.3f}" for kind, size in sorted(files.items()))
        yield Line(f"{name}: {what}, kB a photo", sum(files.values()) / index.photos / 1000, note=note)
        graph = sum(files[kind] for kind in kinds) / index.photos / 1000
        yield Line(f"{name}: {what}, kB a photo that the graph's search reads", graph, note=", ".join(kinds))
