"""Chooses the regions of a photo that do not repeat others."""

from __future__ import annotations

import numpy as np

from sorce.mappings import Vector

LEAST = 1e-4
"""The least distance that counts; rounding can make it negative."""


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


def rarity(vectors: Vector) -> Vector:
    """How little of a photo looks like each of its regions (n,): the weights with which `Tiles` stores regions.

    The squared distance of each unit vector from their mean direction. Most regions of a photo show background.
    """
    mean = vectors.mean(axis=0)
    distance = 1 - vectors @ mean / np.linalg.norm(mean)
    # Not 0: of equal regions, too, none may be taken twice.
    weights: Vector = np.maximum(distance, LEAST) ** 2
    return weights
