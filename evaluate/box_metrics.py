"""Where the truth has boxes: whether the shown box sits on the object, and how well objects of each size are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sorce.evaluate.figures import Figure, figure
from sorce.evaluate.ground_truth import GroundTruth, LabelledQuery
from sorce.evaluate.metrics import Ranks, iou
from sorce.mappings import Box, Hit

FIRST = 10
BOUNDS = (0.001, 0.003, 0.01, 0.05)
"""Between the sizes of objects, as shares of the photo."""

SIZES = ("under 0.1 %", "of 0.1-0.3 %", "of 0.3-1 %", "of 1-5 %", "of 5 % or more")


class BoxMetrics:
    """For each query, an entry for each photo in which the truth has boxes; the best of them counts.

    A photo that is not indexed shows no box: its entries are 0.
    """

    def __init__(self) -> None:
        self.overlaps: list[NDArray[np.float64]] = []
        self._on_object: list[NDArray[np.float64]] = []
        self._holds_object: list[NDArray[np.float64]] = []

    def add(self, query: LabelledQuery, hits: Sequence[Hit]) -> None:
        """`hits` are the query's located photos, as far as they are indexed."""
        boxes = {hit.photo_id: hit.box for hit in hits}
        verdicts = [_verdicts(boxes.get(photo_id), query.answers[photo_id]) for photo_id in query.located]
        overlaps, on_object, holds_object = np.array(verdicts, np.float64).reshape(-1, 3).T
        self.overlaps.append(overlaps)
        self._on_object.append(on_object)
        self._holds_object.append(holds_object)

    def figures(self, name: str = "") -> list[Figure]:
        return [
            figure(f"{name}box: mean IoU", self.overlaps),
            figure(f"{name}box: IoU 0.5 or more", [overlaps >= 0.5 for overlaps in self.overlaps]),
            figure(f"{name}box: its centre in the object", self._on_object),
            figure(f"{name}box: the object's centre in it", self._holds_object),
        ]


class SizeMetrics:
    """Recall by the size of the object: of several in a photo, the largest.

    Each photo is judged alone, as if no other one showed the thing.
    """

    def __init__(self) -> None:
        self._found: list[dict[str, list[bool]]] = []

    def add(self, truth: GroundTruth, query: LabelledQuery, places: Ranks) -> None:
        """`places` are the ranks of the query's photos, each alone, in their order (or of the first ones)."""
        found: dict[str, list[bool]] = defaultdict(list)
        for photo_id, place in zip(query.answers, places, strict=False):
            share = truth.share(query, photo_id)
            if share is not None:
                found[SIZES[int(np.searchsorted(BOUNDS, share, side="right"))]].append(bool(place <= FIRST))
        self._found.append(found)

    def figures(self, name: str = "") -> list[Figure]:
        return [
            figure(f"{name}R@{FIRST}, objects {size}", [found.get(size, []) for found in self._found]) for size in SIZES
        ]


def _verdicts(box: Box | None, truth: Sequence[Box]) -> tuple[float, bool, bool]:
    """The greatest IoU; whether the box's centre is in an object; whether an object's centre is in the box."""
    if box is None:
        return 0.0, False, False
    overlaps = iou(np.array(box.as_tuple()), np.array([each.as_tuple() for each in truth]))
    on_object, holds_object = (any(_inside(box, each) for each in truth), any(_inside(each, box) for each in truth))
    return float(overlaps.max()), on_object, holds_object


def _inside(box: Box, other: Box) -> bool:
    """Whether the box's centre is in the other."""
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    return other.x1 <= x < other.x2 and other.y1 <= y < other.y2
