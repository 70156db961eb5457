"""Metrics of rankings of photos, and of how well a box fits an object, by the published definitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sorce.mappings import Vector

Scores = NDArray[np.float64]
Relevant = NDArray[np.bool_]
Ranks = NDArray[np.float64]
"""The ranks of a query's relevant photos, (photos,). 1 is the best rank; infinity is a photo that was not found."""

THRESHOLDS = np.arange(50, 100, 5) / 100
"""The IoUs of mAcc. This is our reading of the name: the released code of SOREC (arXiv 2510.03701) lacks mAcc."""


def best_region_scores(texts: Vector, photos: Sequence[Vector]) -> Scores:
    """The greatest cosine of each text with any region of each photo, (texts, photos).

    `texts` is (texts, dimension). Each photo is its regions' vectors, (regions, dimension). All have unit length.
    """
    return np.stack([(texts @ regions.T).max(axis=1) for regions in photos], axis=1).astype(np.float64)


def ranks(scores: Scores, relevant: Relevant) -> list[Ranks]:
    """For each query (row), the ranks of its relevant photos, in the order of the columns."""
    places = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable") + 1.0
    return [row[wanted] for row, wanted in zip(places, relevant, strict=True)]


def ranks_in(ranking: Sequence[str], relevant: Sequence[str]) -> Ranks:
    """The ranks of the relevant photos in a ranking that may be incomplete, in the order of `relevant`."""
    rank_of = {photo: rank for rank, photo in enumerate(ranking, 1)}
    return np.array([rank_of.get(photo, np.inf) for photo in relevant], np.float64)


def alone(ranks: Ranks) -> Ranks:
    """The rank that each relevant photo would have without the other relevant photos.

    SORCE-1K (arXiv 2505.24441) evaluates each zoom of an item this way. The released code gives the other zooms the
    score 0, which is the same as long as all scores are positive.
    """
    others: Ranks = (ranks[None, :] < ranks[:, None]).sum(axis=1, dtype=np.float64)
    return ranks - others


def found_at(k: int, ranks: Ranks) -> bool:
    """Whether at least one relevant photo is among the first k."""
    return bool((ranks <= k).any())


def recall_at(k: int, found: Sequence[Ranks]) -> float:
    """The share of queries with at least one relevant photo among the first k."""
    return float(np.mean([found_at(k, each) for each in found]))


def mean_average_precision(found: Sequence[Ranks], k: int | None = None) -> float:
    """Mean over queries of `average_precision`; queries without a relevant photo count as 0."""
    return float(np.mean([average_precision(each, k) for each in found]))


def average_precision(ranks: Ranks, k: int | None = None, *, attainable: bool = False) -> float:
    """The sum of the precision at each relevant rank (up to k), divided by the number of all relevant photos.

    `attainable` divides by min(relevant, k) instead, the other common definition: with it, 1 can always be reached.
    """
    if not len(ranks):
        return 0.0
    ordered = np.sort(ranks)
    precision = np.arange(1, len(ordered) + 1) / ordered
    most = min(len(ordered), k) if attainable and k else len(ordered)
    return float(precision[ordered <= k].sum() if k else precision.sum()) / most


def iou(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of boxes x1, y1, x2, y2, (..., 4) with (..., 4) to (...); 0 for boxes without area."""
    first, second = boxes.astype(np.float64), others.astype(np.float64)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    common = np.prod(np.maximum(sides, 0), axis=-1)
    areas = [np.prod(np.maximum(each[..., 2:] - each[..., :2], 0), axis=-1) for each in (first, second)]
    # The least area is that of SOREC's released code. It prevents a division by 0.
    overlap: NDArray[np.float64] = common / np.maximum(areas[0] + areas[1] - common, 1e-6)
    return overlap


def accuracy(overlaps: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """For each expression, whether its box's IoU with the truth reaches the threshold: Acc50 is the mean at 0.5."""
    return overlaps >= threshold


def mean_accuracy(overlaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each expression, the share of the THRESHOLDS that its IoU reaches: mAcc is the mean."""
    shares: NDArray[np.float64] = (overlaps[:, None] >= THRESHOLDS).mean(axis=1)
    return shares
