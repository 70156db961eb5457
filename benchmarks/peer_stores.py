"""The stores that a user could use instead of sorce: each keeps photos of several vectors, and returns the best."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from corpus import REGIONS, SIZE
from numpy.typing import NDArray

from sorce.mappings import Vector

EFFORTS = (10, 20, 30, 40, 50, 75, 100, 125, 150, 200, 250, 300, 400, 500, 600, 800, 1000)
"""How widely a graph is searched: the same steps for all stores that have a graph."""

CANDIDATES = 5 * SIZE
"""How many regions to ask for where a store answers with regions: several of the best may be of one photo."""

BATCH = 20_000
"""Rows per insert."""


class Peer(ABC):
    """A store for photos with several vectors each, in a folder of its own."""

    name: str
    needs: str
    """The package that must be installed."""

    says_region: bool
    lacks: str
    """What it cannot answer."""

    efforts: Sequence[Any]
    is_grid = False
    """Whether a later effort may be faster than an earlier one. If so, all are tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def fill(self, vectors: Vector) -> None:
        """Stores vectors, (photos, REGIONS, dimension), and builds the index, if the store has one."""

    @abstractmethod
    def search(self, vector: Vector, effort: Any) -> list[int]:
        """The SIZE best photos."""

    def version(self) -> str:
        """Which release it is, if that limits what it can do."""
        return ""

    def close(self) -> None:  # noqa: B027  (most stores start nothing)
        """Stops what `fill` started."""

    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


class Lance(Peer):
    """LanceDB with its IVF_PQ index, one code per 4 numbers. With its default of 16, it finds 80 % at any effort."""

    needs = "lancedb"
    column: str
    asked: int
    is_grid = True
    efforts = tuple((probes, refine) for probes in (10, 20, 40, 80) for refine in (1, 2, 4, 8, 16))
    """How many partitions are searched (`nprobes`), and how many times SIZE results are compared exactly
    (`refine_factor`).
    """

    @abstractmethod
    def columns(self, photos: int) -> dict[str, NDArray[np.intp]]:
        """The columns stored beside the vectors."""

    def vectors(self, flat: Any, photos: int) -> Any:  # noqa: ARG002
        """The column of vectors. `flat` has all vectors one after another."""
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
    lacks = "which region it was"
    column, asked = "regions", SIZE

    def columns(self, photos: int) -> dict[str, NDArray[np.intp]]:
        return {"photo": np.arange(photos)}

    def vectors(self, flat: Any, photos: int) -> Any:
        import pyarrow as pa

        return pa.ListArray.from_arrays(pa.array(np.arange(photos + 1, dtype=np.int32) * REGIONS), flat)


class LanceRows(Lance):
    name, says_region = "LanceDB rows, grouped", True
    lacks = "the best photos: it returns regions, which the caller groups"
    column, asked = "vec", CANDIDATES

    def columns(self, photos: int) -> dict[str, NDArray[np.intp]]:
        numbers = np.arange(photos * REGIONS)
        return {"photo": numbers // REGIONS, "region": numbers % REGIONS}


class Milvus(Peer):
    name, needs, says_region = "Milvus Lite", "milvus_lite", True
    lacks = "the sum of the best regions for several phrases"
    efforts = EFFORTS

    def fill(self, vectors: Vector) -> None:
        from pymilvus import DataType, MilvusClient

        # Its server closes the connection if the client asks every ten seconds whether a long call still runs.
        options = {"grpc.keepalive_time_ms": 3_600_000}
        self._client: Any = MilvusClient(str(self.folder / "photos.db"), grpc_options=options)
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
        while some := list(islice(rows, BATCH)):
            self._client.insert("regions", some)
        self._client.flush("regions")
        # This comes last: rows added to a loaded collection are not in the graph, and are compared one by one.
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
    lacks = "anything but regions by number: it is a library without fields, and its graph takes nothing out"
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


def grouped(photos: Iterable[int]) -> list[int]:
    """The first SIZE different photos."""
    return list(dict.fromkeys(photos))[:SIZE]
