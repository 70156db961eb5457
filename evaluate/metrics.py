"""How good a ranking of photos is: recall and average precision, by their published definitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sorce.mappings import Vector

Scores = NDArray[np.float64]
Relevant = NDArray[np.bool_]
Ranks = NDArray[np.int64]


def best_region_scores(texts: Vector, photos: Sequence[Vector]) -> Scores:
    """The greatest cosine of each text with any region of each photo, (texts, photos).

    `texts` is (texts, dimension); each photo its regions' vectors, (regions, dimension); all of unit length.
    """
    return np.stack([(texts @ regions.T).max(axis=1) for regions in photos], axis=1).astype(np.float64)


def ranks(scores: Scores, relevant: Relevant) -> list[Ranks]:
    """For each query (row) the ranks of its relevant photos, 1 the best, in ascending order."""
    places = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable") + 1
    return [np.sort(row[wanted]) for row, wanted in zip(places, relevant, strict=True)]


def recall_at(k: int, found: Sequence[Ranks]) -> float:
    """Share of the queries with at least one relevant photo among the first k."""
    return float(np.mean([bool(len(places)) and places[0] <= k for places in found]))


def mean_average_precision(found: Sequence[Ranks], k: int | None = None) -> float:
    """Mean over queries of the precision at each relevant rank (up to k), summed and divided by all relevant photos."""
    return float(np.mean([average_precision(places, k) for places in found]))


def average_precision(places: Ranks, k: int | None = None) -> float:
    if not len(places):
        return 0.0
    precision = np.arange(1, len(places) + 1) / places
    return float(precision[places <= k].sum() if k else precision.sum()) / len(places)
