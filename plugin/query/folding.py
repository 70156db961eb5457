"""Folds near-duplicates: a photo that looks like a better hit is shown under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sorce.mappings import Hit, Hits, Vector


def folded(hits: Hits, vectors: Mapping[str, Vector | None], cosine: float) -> Hits:
    """The hits, each near-duplicate under the best hit whose whole photo has at least this cosine with its own.

    `vectors` are those of the whole photos, by photo id. A photo without one stays by itself.
    """
    return replace(hits, found=tuple(_folded(hits, [vectors.get(hit.photo_id) for hit in hits], cosine)))


def _folded(hits: Sequence[Hit], vectors: Sequence[Vector | None], cosine: float) -> list[Hit]:
    """Compares each photo with those shown only: a chain of similar photos must not fold unlike ones together."""
    known = [vector for vector in vectors if vector is not None]
    if not known:
        return list(hits)
    better, owners = np.empty((len(known), len(known[0])), np.float32), list[int]()
    shown: list[tuple[Hit, list[Hit]]] = []
    for hit, vector in zip(hits, vectors, strict=True):
        alike = [] if vector is None else np.flatnonzero(better[: len(owners)] @ vector >= cosine).tolist()
        if alike:
            shown[owners[alike[0]]][1].append(hit)
            continue
        if vector is not None:
            better[len(owners)] = vector
            owners.append(len(shown))
        shown.append((hit, []))
    return [replace(hit, duplicates=tuple(under)) for hit, under in shown]
