"""PIZA as a localiser."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from torchvision.ops import nms  # type: ignore[import-untyped]

from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.loop import Corners, ZoomTrace, zoom_in
from sorce.locate.rgb import in_rgb
from sorce.mappings import Box
from sorce.mappings.located import Instance, Located, LocateRequest

SAME_PLACE = 0.5
"""Boxes that overlap a better one by at least this IoU are left out."""


class Piza:
    """Zooms in on the photo as published: from the whole photo, so the index's box is not used.

    The score is the detector's, and is not calibrated. Other instances are those in the last crop.
    """

    def __init__(self, detector: PizaDetector) -> None:
        self._detector = detector
        self._one_at_a_time = Lock()

    @property
    def name(self) -> str:
        return self._detector.name

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        """One by one: photos in a batch would be padded, and padding changes the result."""
        return [self._locate(in_rgb(request), boxes, min_score) for request in requests]

    def _locate(self, request: LocateRequest, boxes: int, min_score: float) -> Located:
        with self._one_at_a_time:
            trace = zoom_in(self._detector, request.picture.image, request.text)
        whole = (0, 0, *request.picture.size)
        found = _instances(trace, boxes, min_score, whole)
        looked_at = tuple(Box(*step.crop) for step in trace.steps) or (Box(*whole),)
        return Located(found[0].box, found[0].score, looked_at, found)


def _instances(trace: ZoomTrace, boxes: int, min_score: float, whole: Corners) -> tuple[Instance, ...]:
    if not trace.steps:
        # The history encoder stopped at the whole photo, before any detector saw it.
        return (Instance(Box(*whole), 0.0),)
    found = trace.steps[-1].found
    kept = nms(found.boxes, found.scores, SAME_PLACE)[:boxes].tolist()
    best, *others = (Instance(_box(found.boxes[row].tolist(), whole), found.scores[row].item()) for row in kept)
    return (best, *(other for other in others if other.score >= min_score))


def _box(corners: Sequence[float], whole: Corners) -> Box:
    """The box, which ends with the photo; one without area becomes the pixel at its place."""
    # Divided by a float32 scale, a corner can lie a little beyond: 267 / 0.267 is 1000.00006.
    x1, y1, x2, y2 = (min(corner, end) for corner, end in zip(corners, whole[2:] * 2, strict=True))
    if x1 < x2 and y1 < y2:
        return Box(x1, y1, x2, y2)
    left, top = min(int(x1), whole[2] - 1), min(int(y1), whole[3] - 1)
    return Box(left, top, max(x2, left + 1), max(y2, top + 1))
