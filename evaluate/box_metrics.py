"""Metrics of boxes, where the ground truth has boxes: how well the shown box fits the object, and recall by size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sorce.evaluate.bootstrap import Metric, mean_over_queries
from sorce.evaluate.ground_truth import GroundTruth, LabelledQuery
from sorce.evaluate.metrics import Ranks, accuracy, iou, mean_accuracy
from sorce.mappings import Box, Hit

K = 10
"""The k of recall by size."""

BOUNDS = (0.001, 0.003, 0.01, 0.05)
"""The limits between the size classes of objects, as shares of the photo."""

SIZES = ("under 0.1 %", "of 0.1-0.3 %", "of 0.3-1 %", "of 1-5 %", "of 5 % or more")


def own_box(hit: Hit) -> Box:
    """The box that the index shows."""
    return hit.box


class BoxMetrics:
    """Compares the shown box of a photo with the boxes of the ground truth there. The box that fits best counts.

    There is one value for each photo of a query in which the ground truth has boxes. A photo that is not indexed has
    the value 0, since no box is shown.
    """

    def __init__(self) -> None:
        self.overlaps: list[NDArray[np.float64]] = []
        self._on_object: list[NDArray[np.float64]] = []
        self._holds_object: list[NDArray[np.float64]] = []

    def add(self, query: LabelledQuery, hits: Sequence[Hit], box_of: Callable[[Hit], Box | None] = own_box) -> None:
        """`hits` are the indexed photos among the query's located photos. `box_of` gives the box that is compared."""
        boxes = {hit.photo_id: box_of(hit) for hit in hits}
        compared = [_compare(boxes.get(photo_id), query.answers[photo_id]) for photo_id in query.located]
        overlaps, on_object, holds_object = np.array(compared, np.float64).reshape(-1, 3).T
        self.overlaps.append(overlaps)
        self._on_object.append(on_object)
        self._holds_object.append(holds_object)

    def accuracies(self, name: str = "") -> list[Metric]:
        """Acc50, Acc75 and mAcc (SOREC, arXiv 2510.03701)."""
        return [
            mean_over_queries(f"{name}Acc50", [accuracy(overlaps, 0.5) for overlaps in self.overlaps]),
            mean_over_queries(f"{name}Acc75", [accuracy(overlaps, 0.75) for overlaps in self.overlaps]),
            mean_over_queries(f"{name}mAcc", [mean_accuracy(overlaps) for overlaps in self.overlaps]),
        ]

    def metrics(self, name: str = "") -> list[Metric]:
        return [
            mean_over_queries(f"{name}box: mean IoU", self.overlaps),
            mean_over_queries(f"{name}box: IoU 0.5 or more", [overlaps >= 0.5 for overlaps in self.overlaps]),
            mean_over_queries(f"{name}box: its centre in the object", self._on_object),
            mean_over_queries(f"{name}box: the object's centre in it", self._holds_object),
        ]


class SizeMetrics:
    """Recall by the size of the object. Where a photo shows several, the largest one counts.

    Each relevant photo is ranked alone, as if the other relevant photos were not there.
    """

    def __init__(self) -> None:
        self._found: list[dict[str, list[bool]]] = []

    def add(self, truth: GroundTruth, query: LabelledQuery, ranks: Ranks) -> None:
        """`ranks` are those of the query's photos, each ranked alone, in their order. There may be fewer of them."""
        found: dict[str, list[bool]] = defaultdict(list)
        for photo_id, rank in zip(query.answers, ranks, strict=False):
            share = truth.share(query, photo_id)
            if share is not None:
                found[SIZES[int(np.searchsorted(BOUNDS, share, side="right"))]].append(bool(rank <= K))
        self._found.append(found)

    def metrics(self, name: str = "") -> list[Metric]:
        return [
            mean_over_queries(f"{name}R@{K}, objects {size}", [found.get(size, []) for found in self._found])
            for size in SIZES
        ]


def _compare(box: Box | None, truth: Sequence[Box]) -> tuple[float, bool, bool]:
    """The greatest IoU; whether the box's centre is in an object; whether an object's centre is in the box."""
    if box is None:
        return 0.0, False, False
    overlaps = iou(np.array(box.as_tuple()), np.array([each.as_tuple() for each in truth]))
    on_object, holds_object = (any(_inside(box, each) for each in truth), any(_inside(each, box) for each in truth))
    return float(overlaps.max()), on_object, holds_object


def _inside(box: Box, other: Box) -> bool:
    """Whether the box's centre is inside the other box."""
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    return other.x1 <= x < other.x2 and other.y1 <= y < other.y2
