"""Chooses the regions of a photo that do not repeat others."""

from __future__ import annotations

import numpy as np

from sorce.mappings import Vector


def most_distinct(vectors: Vector, most: int, weights: Vector | None = None) -> list[int]:
    """Indices of at most `most` of the unit vectors (n, dimension), in ascending order; the first is always kept.

    Each step takes the vector least similar to all taken so far (farthest-first traversal, Gonzalez 1985). So each
    omitted vector nearly repeats a kept one. There is no threshold: the similarity of two regions depends on the
    encoder. With `weights` (n,), its distance to all taken times its weight decides.
    """
    if len(vectors) <= most:
        return list(range(len(vectors)))
    kept, nearest = [0], np.full(len(vectors), -np.inf, np.float32)
    while len(kept) < most:
        nearest = np.maximum(nearest, vectors @ vectors[kept[-1]])
        # Rounding could make a vector seem less similar to itself than to others.
        nearest[kept] = np.inf
        kept.append(int(np.argmin(nearest) if weights is None else np.argmax((1 - nearest) * weights)))
    return sorted(kept)
