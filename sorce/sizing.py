"""How large an index becomes, and what it needs: calculated from sizes that were measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sorce.models.catalogue import GRAPH, NUMBER, stored_bytes

CORRECTION = 4
"""Bytes of a compressed vector in the graph, beside one for each number."""

SHARD = 40e9
"""The most bytes of a shard; OpenSearch advises 10 to 50 GB."""
MAX_SHARDS = 1024
"""OpenSearch makes no index with more."""
MAX_HEAP = 31e9
"""More heap than this makes Java's pointers longer."""
SYSTEM = 1e9
"""Memory of a node that is neither heap nor cache."""
FREE = 0.85
"""The share of a disk that OpenSearch fills before it puts no more shards there (low watermark)."""
QUORUM = 3
"""With fewer nodes, the loss of one ends the cluster."""

MEASURED_REGIONS, MEASURED_DIMENSION = 17, 256
SMALLEST, SMALLEST_MS, DOUBLING_MS = 5_000, 7.5, 0.3
"""The growth curve: milliseconds (p50) of a search of 5,000 photos of 17 x 256, and what each doubling adds."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be stored: photos, regions of each, numbers of each vector. And on what: replicas, bytes of a node.

    `rate` is how many photos per second one worker brings in; None if it is not known. `is_compressed` says that the
    graph holds a byte per number (`sorce ingest --compression 4x`).
    """

    photos: int
    regions: int
    dimension: int
    replicas: int = 1
    node_memory: float = 64e9
    workers: int = 1
    rate: float | None = None
    is_compressed: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes are those of the whole cluster, unless they are named for a node: then of the fullest one. `hours` is the
    time of the ingest.

    `vector_bytes` and `index_bytes` are without replicas; `disk_bytes` and `cached_bytes` count all copies. `search_ms`
    is the p50 of a search (two cores for each shard). It is None if nothing of this shape was measured.
    """

    regions: int
    vector_bytes: int
    index_bytes: int
    disk_bytes: int
    cached_bytes: int
    shards: int
    nodes: int
    heap_bytes_of_a_node: int
    cache_bytes_of_a_node: int
    disk_bytes_of_a_node: int
    hours: float | None
    search_ms: float | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def index_bytes(photos: int, regions: int, dimension: int, *, is_compressed: bool = False) -> int:
    """The bytes of an index on the disk, without replicas. A compressed one has each vector as float32, too."""
    more = dimension + CORRECTION if is_compressed else 0
    return photos * (stored_bytes(dimension, regions) + regions * more)


def cached_bytes(photos: int, regions: int, dimension: int, *, is_compressed: bool = False) -> int:
    """The bytes of graphs, and of the vectors in them. If they are in memory, the graph's search needs no disk."""
    return photos * regions * ((dimension + CORRECTION if is_compressed else NUMBER * dimension) + GRAPH)


def search_ms(photos: float) -> float:
    """The p50 of a search of so many photos in one shard, for 17 regions of 256 numbers."""
    return SMALLEST_MS + DOUBLING_MS * max(0.0, math.log2(photos / SMALLEST))


def needs(plan: Planned) -> Needs:
    """What the planned index needs."""
    shape = plan.photos, plan.regions, plan.dimension
    copies = 1 + plan.replicas
    index = index_bytes(*shape, is_compressed=plan.is_compressed)
    cached = copies * cached_bytes(*shape, is_compressed=plan.is_compressed)
    heap = min(MAX_HEAP, plan.node_memory / 2)
    cache = plan.node_memory - heap - SYSTEM
    least = 1 if copies == 1 else max(QUORUM, copies)
    # A shard is on one node, whose cache must hold it.
    shards = max(math.ceil(index / SHARD), math.ceil(cached / cache / copies))
    placed = copies * shards
    nodes = max(least, math.ceil(placed / max(1, cache * placed // cached)))
    fullest = math.ceil(placed / nodes)
    disk = copies * index
    measured = plan.regions <= MEASURED_REGIONS and plan.dimension <= MEASURED_DIMENSION and not plan.is_compressed
    return Needs(
        regions=plan.photos * plan.regions,
        vector_bytes=plan.photos * plan.regions * NUMBER * plan.dimension,
        index_bytes=index,
        disk_bytes=disk,
        cached_bytes=cached,
        shards=shards,
        nodes=nodes,
        heap_bytes_of_a_node=round(heap),
        cache_bytes_of_a_node=round(cached / placed * fullest),
        disk_bytes_of_a_node=round(disk / placed * fullest / FREE),
        hours=None if plan.rate is None else plan.photos / (plan.rate * plan.workers) / 3600,
        search_ms=round(search_ms(plan.photos / shards), 1) if measured else None,
    )
