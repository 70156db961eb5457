"""Requests for the vectors of regions that are given by their number."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sorce.mappings.values import Vector

Json = dict[str, Any]

WHOLE = 0
"""The number of the region that is the whole photo."""

VECTOR = "vector"
"""The name of the clause that shows a region's vector, and of the field that has it."""

# Little-endian float32 in base64: as JSON numbers, the vectors of ten photos take longer than the rest of a search.
# OpenSearch 3.7 has this form as a doc value field of its own; 2.19 and 3.6 do not.
_SCRIPT = """
if (doc['regions.vec'].size() == 0) {
  return null;
}
float[] vector = doc['regions.vec'].value;
byte[] bytes = new byte[4 * vector.length];
for (int i = 0; i < vector.length; i++) {
  int bits = Float.floatToIntBits(vector[i]);
  bytes[4 * i] = (byte) bits;
  bytes[4 * i + 1] = (byte) (bits >> 8);
  bytes[4 * i + 2] = (byte) (bits >> 16);
  bytes[4 * i + 3] = (byte) (bits >> 24);
}
return Base64.getEncoder().encodeToString(bytes);
"""


def vectors_body(photos: Json, region_id: int, size: int) -> Json:
    """The search for one region's vector in each of the photos that meet the clause `photos`."""
    return {
        "size": size,
        "track_total_hits": False,
        "_source": False,
        "query": {"bool": {"filter": [photos, vector_of(region_id)]}},
    }


def vector_of(region_id: int) -> Json:
    """The clause for photos that have this region, which shows its vector. It adds nothing to a score."""
    # From doc values: the source would be parsed with the vectors of all regions, which takes longer than the search.
    shown = {"name": VECTOR, "size": 1, "_source": False, "script_fields": {VECTOR: {"script": _SCRIPT}}}
    query = {"bool": {"filter": [{"term": {"regions.id": region_id}}]}}
    return {"nested": {"path": "regions", "score_mode": "none", "query": query, "inner_hits": shown}}


def by_photo_ids(photo_ids: Sequence[str]) -> Json:
    """The clause for these photos."""
    return {"ids": {"values": list(photo_ids)}}


def by_prefix(photo_id: str) -> Json:
    """The clause for photos whose id starts with this."""
    return {"prefix": {"photo_id": photo_id}}


def read_vectors(answer: Mapping[str, Any]) -> dict[str, Vector | None]:
    """The vector by photo id, from an answer with `vector_of`; None if the photo has no such region, or no vector."""
    hits = answer["hits"]["hits"]
    return {str(hit["_id"]): _vector(hit["inner_hits"][VECTOR]["hits"]["hits"]) for hit in hits}


def _vector(found: Sequence[Mapping[str, Any]]) -> Vector | None:
    # Anyone who may write to the index decides what its documents hold.
    packed: Any = found[0].get("fields", {}).get(VECTOR, [None])[0] if found else None
    try:
        vector = np.frombuffer(base64.b64decode(packed, validate=True), "<f4")
    except (TypeError, ValueError):
        return None
    return vector if len(vector) and np.isfinite(vector).all() else None
