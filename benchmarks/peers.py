"""The same corpus in what a user would pick instead: ingest, size, latency at equal recall, and what the answer says.

Each is set to the least effort that finds 95 % of the true photos; one that never does is not compared.
"""

from __future__ import annotations

import math
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from corpus import QUERIES, REGIONS, SIZE, WIDE, Corpus, Indexed, Shape, indexed, text
from figures import Line, at_least, at_most, not_taken
from numpy.typing import NDArray
from timing import Ask, latencies

from sorce.mappings import Vector
from sorce.mappings.query import EF_SEARCH
from sorce.plugin import SearchRequest

RECALL = 0.95
TUNING = 100
"""Queries by which each is set."""
ROUNDS = 5
SLOW = 0.2
"""Seconds above which a peer answers too slowly for all queries."""
FEW = 50
EFFORTS = (10, 20, 30, 40, 50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 600, 800, 1000)
"""How widely a graph is searched: the same steps for all that have one."""
CANDIDATES = 5 * SIZE
"""Regions asked for where answers are regions: the ten best photos may have several among the best."""
AT_ONCE = 20_000


class Peer(ABC):
    """One way to keep photos of several vectors and to ask for them, in a folder of its own."""

    name: str
    needs: str
    """The package that it comes in."""
    says_region: bool
    efforts: Sequence[Any]
    is_grid = False
    """Whether a later effort may be faster than an earlier one, so that all are tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def fill(self, vectors: Vector) -> None:
        """Takes (photos, REGIONS, dimension) in, and makes what index it has."""

    @abstractmethod
    def search(self, vector: Vector, effort: Any) -> list[int]:
        """The SIZE best photos."""

    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


class Lance(Peer):
    """By its own IVF_PQ, but with codes of 4 numbers each: by its default of 16 it finds 80 % at whatever effort."""

    needs = "lancedb"
    column: str
    asked: int
    is_grid = True
    efforts = tuple((probes, refine) for probes in (10, 20, 40, 80) for refine in (1, 2, 4, 8, 16))
    """Partitions that are searched (`nprobes`), and by how many times what is asked for more is compared exactly
    (`refine_factor`)."""

    @abstractmethod
    def columns(self, photos: int) -> dict[str, NDArray[np.intp]]:
        """What is kept beside the vectors."""

    def vectors(self, flat: Any, photos: int) -> Any:  # noqa: ARG002
        """The column of vectors, from all of them in a row."""
        return flat

    def fill(self, vectors: Vector) -> None:
        import lancedb
        import pyarrow as pa
        from lancedb.index import IvfPq

        photos, _, dimension = vectors.shape
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dimension)
        rows = pa.table({**self.columns(photos), self.column: self.vectors(flat, photos)})
        self._table: Any = lancedb.connect(self.folder).create_table("photos", rows)
        parts = math.isqrt(photos * REGIONS) // 5
        config = IvfPq(distance_type="cosine", num_partitions=parts, num_sub_vectors=dimension // 4)
        self._table.create_index(self.column, config=config)

    def search(self, vector: Vector, effort: tuple[int, int]) -> list[int]:
        probes, refine = effort
        asked = self._table.search(vector, vector_column_name=self.column).nprobes(probes).refine_factor(refine)
        asked = asked.limit(self.asked)
        return grouped(asked.select([*self.columns(0), "_distance"]).to_arrow()["photo"].to_pylist())


class LanceMultivector(Lance):
    name, says_region = "LanceDB multivector", False
    column, asked = "regions", SIZE

    def columns(self, photos: int) -> dict[str, NDArray[np.intp]]:
        return {"photo": np.arange(photos)}

    def vectors(self, flat: Any, photos: int) -> Any:
        import pyarrow as pa

        return pa.ListArray.from_arrays(pa.array(np.arange(photos + 1, dtype=np.int32) * REGIONS), flat)


class LanceRows(Lance):
    name, says_region = "LanceDB rows, grouped", True
    column, asked = "vec", CANDIDATES

    def columns(self, photos: int) -> dict[str, NDArray[np.intp]]:
        numbers = np.arange(photos * REGIONS)
        return {"photo": numbers // REGIONS, "region": numbers % REGIONS}


class Qdrant(Peer):
    name, needs, says_region = "Qdrant local", "qdrant_client", False
    efforts = (0,)
    """It compares with everything."""

    def fill(self, vectors: Vector) -> None:
        from qdrant_client import QdrantClient, models

        self._client = QdrantClient(path=str(self.folder))
        several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
        space = models.VectorParams(size=vectors.shape[2], distance=models.Distance.DOT, multivector_config=several)
        self._client.create_collection("photos", vectors_config=space)
        points = (models.PointStruct(id=photo, vector=regions.tolist()) for photo, regions in enumerate(vectors))
        self._client.upload_points("photos", points)

    def search(self, vector: Vector, effort: int) -> list[int]:  # noqa: ARG002
        found = self._client.query_points("photos", query=[vector.tolist()], limit=SIZE, with_payload=False)
        return [int(point.id) for point in found.points]


class Milvus(Peer):
    name, needs, says_region = "Milvus Lite", "milvus_lite", True
    efforts = EFFORTS

    def fill(self, vectors: Vector) -> None:
        from pymilvus import DataType, MilvusClient

        # Its server hangs up on a client that asks every ten seconds whether a long call is still going on.
        patient = {"grpc.keepalive_time_ms": 3_600_000}
        self._client: Any = MilvusClient(str(self.folder / "photos.db"), grpc_options=patient)
        schema = self._client.create_schema()
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("photo", DataType.INT64)
        schema.add_field("region", DataType.INT64)
        schema.add_field("vec", DataType.FLOAT_VECTOR, dim=vectors.shape[2])
        self._client.create_collection("regions", schema=schema)
        rows = (
            {"id": number, "photo": number // REGIONS, "region": number % REGIONS, "vec": vector}
            for number, vector in enumerate(vectors.reshape(-1, vectors.shape[2]))
        )
        while some := list(islice(rows, AT_ONCE)):
            self._client.insert("regions", some)
        self._client.flush("regions")
        # Last: rows that come when the collection is loaded get no graph, and are compared one by one.
        index = self._client.prepare_index_params()
        index.add_index("vec", index_type="HNSW", metric_type="IP", params={"M": 16, "efConstruction": 128})
        self._client.create_index("regions", index)
        self._client.load_collection("regions")

    def search(self, vector: Vector, effort: int) -> list[int]:
        [found] = self._client.search(
            "regions",
            data=[vector],
            anns_field="vec",
            limit=SIZE,
            group_by_field="photo",
            output_fields=["photo", "region"],
            search_params={"params": {"ef": effort}},
        )
        return [int(row["entity"]["photo"]) for row in found]


class Faiss(Peer):
    name, needs, says_region = "FAISS HNSW in process, grouped", "faiss", True
    efforts = EFFORTS

    def fill(self, vectors: Vector) -> None:
        import faiss

        self._index: Any = faiss.IndexHNSWFlat(vectors.shape[2], 16, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = 128
        self._index.add(vectors.reshape(-1, vectors.shape[2]))
        faiss.write_index(self._index, str(self.folder / "regions.faiss"))

    def search(self, vector: Vector, effort: int) -> list[int]:
        self._index.hnsw.efSearch = effort
        _, found = self._index.search(vector[None], CANDIDATES)
        return grouped((found[0] // REGIONS).tolist())


PEERS: Sequence[type[Peer]] = (Faiss, LanceMultivector, LanceRows, Milvus, Qdrant)
MERGED = "sorce, merged"
BARS = {LanceMultivector.name: 0.5, Milvus.name: 0.1}


class Sorce(Peer):
    """Measured by the same rule as the others, over the index that the other measures ask, or a copy of it."""

    needs, says_region = "sorce", True
    efforts = EFFORTS

    def __init__(self, folder: Path, name: str, index: Indexed) -> None:
        super().__init__(folder)
        self.name = name
        self.index, self._client = index, index.searcher()
        self._numbers = {vector.tobytes(): number for number, vector in enumerate(index.corpus.queries)}

    def fill(self, vectors: Vector) -> None:
        """It is filled."""

    def search(self, vector: Vector, effort: int) -> list[int]:
        request = SearchRequest([text(self._numbers[vector.tobytes()])], ef_search=effort)
        return [int(hit.photo_id, 16) for hit in self._client.search(request)]

    def size(self) -> int:
        return sum(self.index.files().values())


def grouped(photos: Iterable[int]) -> list[int]:
    """The first SIZE different ones."""
    return list(dict.fromkeys(photos))[:SIZE]


def measures() -> Iterator[Line]:
    yield from of(WIDE)


def of(shape: Shape) -> Iterator[Line]:
    index = indexed(shape, shape.photos)
    corpus = index.corpus
    with tempfile.TemporaryDirectory() as folder:
        # The others make their graph or their partitions when all is in; what comes to that here is a merge.
        merged = Sorce(Path(folder), MERGED, index.merged())
        efforts: dict[Peer, Any] = {}
        for each in (Sorce(Path(folder), "sorce", index), merged):
            efforts[each], found = least(each, corpus)
            if found < RECALL:
                raise RuntimeError(f"{each.name} finds {found:.3f} of the true photos at most: nothing can be compared")
            said = f"recall {found:.3f} with effort {efforts[each]}"
            yield from facts(shape, each, each.index.seconds, said)
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
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        peer = kind(Path(folder))
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
            if each.name == MERGED and peer.name in BARS:
                yield at_most(name, ratio, BARS[peer.name], note)
            else:
                yield Line(name, ratio, note=note)


def facts(shape: Shape, peer: Peer, seconds: float, said: str) -> Iterator[Line]:
    region = "says which region" if peer.says_region else "does not say which region"
    yield Line(f"peers, {shape}: {peer.name}, ingest photos/s", shape.photos / seconds, note=f"{region}; {said}")
    yield Line(f"peers, {shape}: {peer.name}, kB a photo", peer.size() / shape.photos / 1000)


def least(peer: Peer, corpus: Corpus) -> tuple[Any, float]:
    """The fastest effort that finds RECALL of the true photos, and what it finds; else the one that finds most."""
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
