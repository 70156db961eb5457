"""Chooses the regions of a photo that are stored: those that differ from the others."""

from __future__ import annotations

import numpy as np

from sorce.mappings import Vector


def most_distinct(vectors: Vector, most: int, weights: Vector | None = None) -> list[int]:
    """Indices of at most `most` of the unit vectors (n, dimension), in ascending order; the first is always kept.

    Each step takes the vector least similar to all taken so far (farthest-first traversal, Gonzalez 1985). So each
    omitted vector nearly repeats a kept one. There is no threshold: the similarity of two regions depends on the
    encoder. With `weights` (n,), none below 0, a step takes the greatest product of distance and weight.
    """
    if len(vectors) <= most:
        return list(range(len(vectors)))
    kept, nearest = [0], np.full(len(vectors), -np.inf, np.float32)
    while len(kept) < most:
        nearest = np.maximum(nearest, vectors @ vectors[kept[-1]])
        gain = 1 - nearest if weights is None else (1 - nearest) * weights
        # Rounding could make a vector seem less similar to itself than to others.
        gain[kept] = -np.inf
        kept.append(int(np.argmax(gain)))
    return sorted(kept)


def rarity(vectors: Vector) -> Vector:
    """How little of a photo looks like each of its regions (n,): the weights with which `Tiles` stores regions.

    (1 - cosine)² of each unit vector with their mean direction. Most regions of a photo show background.
    """
    mean = vectors.mean(axis=0)
    # Regions that cancel each other out have no mean direction: all are as rare then.
    weights: Vector = np.maximum(1 - vectors @ mean / (np.linalg.norm(mean) or 1), 0) ** 2
    return weights
