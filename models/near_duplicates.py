"""Which regions of a photo say something of their own."""

from __future__ import annotations

import numpy as np

from sorce.mappings import Vector


def most_distinct(vectors: Vector, most: int) -> list[int]:
    """Places of at most `most` of the unit vectors (n, dimension), in ascending order; the first is always kept.

    Again and again it takes the vector that is least like all taken so far (farthest-first traversal, Gonzalez 1985),
    so that what is left out nearly repeats something that is kept. No threshold: how alike two regions of a photo are
    differs from encoder to encoder.
    """
    if len(vectors) <= most:
        return list(range(len(vectors)))
    kept, nearest = [0], np.full(len(vectors), -np.inf, np.float32)
    while len(kept) < most:
        nearest = np.maximum(nearest, vectors @ vectors[kept[-1]])
        # Rounding could make a vector seem less like itself than like others.
        nearest[kept] = np.inf
        kept.append(int(np.argmin(nearest)))
    return sorted(kept)
