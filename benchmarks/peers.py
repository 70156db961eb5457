"""The same corpus in the stores that a user could use instead of sorce: ingest, size, latency at equal recall.

Each store is set to the least effort that finds 95 % of the true photos. A store that never does is not compared.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from corpus import QUERIES, SIZE, WIDE, Corpus, Indexed, Shape, indexed, text
from figures import Line, at_least, at_most, not_taken
from peer_rows import Chroma, PgVector, Qdrant
from peer_stores import EFFORTS, Faiss, LanceMultivector, LanceRows, Milvus, Peer
from timing import Ask, latencies

from sorce.mappings import Vector
from sorce.mappings.request import EF_SEARCH
from sorce.plugin import SearchRequest

RECALL = 0.95
TUNING = 100
"""Queries to choose the effort with."""

ROUNDS = 5
SLOW = 0.2
"""A store that takes more seconds per query is too slow for all queries."""

FEW = 50
"""Queries for a slow store."""

PEERS: Sequence[type[Peer]] = (Faiss, LanceMultivector, LanceRows, Milvus, PgVector, Chroma, Qdrant)

AS_LEFT, MERGED = "sorce", "sorce, ingest --optimize"
BARS = {(MERGED, LanceMultivector.name): 0.5, (MERGED, Milvus.name): 0.1}
BARS |= {(ours, peer.name): 1.0 for ours in (AS_LEFT, MERGED) for peer in (PgVector, Chroma, Qdrant)}
"""The greatest time allowed for sorce, as a multiple of the store's time."""


class Sorce(Peer):
    """sorce, measured by the same rule as the others, over the other measures' index or a copy of it."""

    needs, says_region, lacks = "sorce", True, ""
    efforts = EFFORTS

    def __init__(self, folder: Path, name: str, index: Indexed) -> None:
        super().__init__(folder)
        self.name = name
        self.index, self._client = index, index.searcher()
        self._numbers = {vector.tobytes(): number for number, vector in enumerate(index.corpus.queries)}

    def fill(self, vectors: Vector) -> None:
        """Nothing to do: the index is filled."""

    def search(self, vector: Vector, effort: int) -> list[int]:
        request = SearchRequest([text(self._numbers[vector.tobytes()])], ef_search=effort, fold=None)
        return [int(hit.photo_id, 16) for hit in self._client.search(request)]

    def size(self) -> int:
        return sum(self.index.files().values())


def measures() -> Iterator[Line]:
    yield from of(WIDE)


def of(shape: Shape) -> Iterator[Line]:
    index = indexed(shape, shape.photos)
    corpus = index.corpus
    with tempfile.TemporaryDirectory() as folder:
        # The other stores build their graph or partitions when all vectors are in. A merge is the equivalent here.
        merged = Sorce(Path(folder), MERGED, index.merged())
        efforts: dict[Peer, Any] = {}
        for each in (Sorce(Path(folder), AS_LEFT, index), merged):
            efforts[each], found = least(each, corpus)
            if found < RECALL:
                raise RuntimeError(f"{each.name} finds {found:.3f} of the true photos at most: nothing can be compared")
            said = f"recall {found:.3f} with effort {efforts[each]}"
            yield from facts(shape, each, each.index.seconds, said)
        yield Line(f"peers, {shape}: seconds of --optimize", merged.index.merging, note=f"{shape.photos:,} photos")
        recall = corpus.recall([merged.search(query, EF_SEARCH) for query in corpus.queries])
        yield at_least(f"peers, {shape}: {MERGED}, recall@{SIZE} of photos", recall, 0.98, "default settings")
        for kind in PEERS:
            try:
                __import__(kind.needs)
            except ImportError:
                yield not_taken(f"peers, {shape}: {kind.name}", f"{kind.needs} is missing; install sorce[bench]")
                continue
            yield from against(shape, efforts, kind, corpus)


def against(shape: Shape, efforts: Mapping[Peer, Any], kind: Callable[[Path], Peer], corpus: Corpus) -> Iterator[Line]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, closing(kind(Path(folder))) as peer:
        started = time.monotonic()
        peer.fill(corpus.vectors)
        seconds = time.monotonic() - started
        theirs, found = least(peer, corpus)
        said = f"recall {found:.3f} with effort {theirs}"
        yield from facts(shape, peer, seconds, said)
        if found < RECALL:
            yield not_taken(f"peers, {shape}: sorce / {peer.name} (p50)", f"it finds {found:.3f} at most")
            return
        asks = {each.name: asking(each, corpus, effort) for each, effort in efforts.items()}
        asks["peer"] = asking(peer, corpus, theirs)
        queries = FEW if is_slow(peer, corpus, theirs) else QUERIES
        taken = latencies(asks, queries, ROUNDS, in_a_row=queries // ROUNDS)
        yield Line(f"peers, {shape}: {peer.name}, p50 ms", taken["peer"].p50, note=said)
        for each in efforts:
            ratio, note = taken[each.name].over(taken["peer"])
            name = f"peers, {shape}: {each.name} / {peer.name} (p50)"
            note = f"{note}; {each.name} {taken[each.name].p50:.1f} ms"
            bar = BARS.get((each.name, peer.name))
            yield Line(name, ratio, note=note) if bar is None else at_most(name, ratio, bar, note)


def facts(shape: Shape, peer: Peer, seconds: float, said: str) -> Iterator[Line]:
    region = "says which region" if peer.says_region else "does not say which region"
    note = "; ".join(filter(None, [peer.version(), region, peer.lacks and f"cannot answer: {peer.lacks}", said]))
    yield Line(f"peers, {shape}: {peer.name}, ingest photos/s", shape.photos / seconds, note=note)
    yield Line(f"peers, {shape}: {peer.name}, kB a photo", peer.size() / shape.photos / 1000)


def least(peer: Peer, corpus: Corpus) -> tuple[Any, float]:
    """The fastest effort that reaches RECALL, and its recall. If none does, the effort with the greatest recall."""
    taken = []
    for effort in peer.efforts:
        queries = corpus.queries[: FEW if is_slow(peer, corpus, effort) else TUNING]
        started = time.monotonic()
        recall = corpus.recall([peer.search(query, effort) for query in queries])
        taken.append((min(recall, RECALL), started - time.monotonic(), recall, effort))
        if recall >= RECALL and not peer.is_grid:
            break
    _, _, recall, effort = max(taken, key=lambda each: each[:2])
    return effort, recall


def is_slow(peer: Peer, corpus: Corpus, effort: Any) -> bool:
    started = time.monotonic()
    for query in corpus.queries[:2]:
        peer.search(query, effort)
    return time.monotonic() - started > 2 * SLOW


def asking(peer: Peer, corpus: Corpus, effort: Any) -> Ask:
    return lambda query: peer.search(corpus.queries[query], effort)
