"""What is asked of an index about regions that are known by their number: their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sorce.mappings.values import Vector

Json = dict[str, Any]

WHOLE = 0
"""The number of the region that is the whole photo."""


def vectors_body(photos: Json, region_id: int, size: int) -> Json:
    """The search for one region's vector in each of the photos that meet the clause `photos`."""
    shown = {"size": 1, "_source": ["regions.vec"]}
    region = {"path": "regions", "query": {"term": {"regions.id": region_id}}, "inner_hits": shown}
    return {
        "size": size,
        "track_total_hits": False,
        "_source": False,
        "query": {"bool": {"filter": [photos, {"nested": region}]}},
    }


def by_photo_ids(photo_ids: Sequence[str]) -> Json:
    """The clause for these photos."""
    return {"ids": {"values": list(photo_ids)}}


def by_prefix(photo_id: str) -> Json:
    """The clause for photos whose id starts with this."""
    return {"prefix": {"photo_id": photo_id}}


def read_vectors(answer: Mapping[str, Any]) -> dict[str, Vector | None]:
    """The vector by photo id, from the answer to `vectors_body`; None if the document's vector is missing or wrong."""
    return {str(hit["_id"]): _vector(hit["inner_hits"]["regions"]["hits"]["hits"]) for hit in answer["hits"]["hits"]}


def _vector(found: Sequence[Mapping[str, Any]]) -> Vector | None:
    # Anyone who may write to the index decides what its documents hold.
    values = found[0].get("_source", {}).get("vec") if found else None
    try:
        vector = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        return None
    return vector if vector.ndim == 1 and np.isfinite(vector).all() else None
