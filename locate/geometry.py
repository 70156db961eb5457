"""Boxes round boxes, inside a photo. Pure functions of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sorce.mappings import Box, Instance

SAME = 0.5
"""Instances that overlap a better one by this IoU or more show the same thing."""


def inside(box: tuple[float, float, float, float], width: int, height: int) -> Box:
    """The part of x1, y1, x2, y2 in the photo; at least a pixel a side, at the nearest edge if it lies outside."""
    x1, x2 = _span(box[0], box[2], width)
    y1, y2 = _span(box[1], box[3], height)
    return Box(x1, y1, x2, y2)


def _span(start: float, end: float, length: int) -> tuple[float, float]:
    low = min(max(start, 0.0), length - 1.0)
    return low, min(max(end, low + 1.0), float(length))


def distinct(found: Iterable[Instance], most: int, min_score: float) -> tuple[Instance, ...]:
    """The best first, without those that overlap a better one. The first is kept whatever its score is."""
    kept: list[Instance] = []
    for each in sorted(found, key=lambda instance: -instance.score):
        if len(kept) == most or (kept and each.score < min_score):
            break
        if all(each.box.iou(better.box) < SAME for better in kept):
            kept.append(each)
    return tuple(kept)


def moved(box: Box, move: Sequence[float]) -> tuple[float, float, float, float]:
    """The box after a move: x and y in its sides, then the factors of its width and height."""
    across, down = box.x2 - box.x1, box.y2 - box.y1
    x, y = (box.x1 + box.x2) / 2 + move[0] * across, (box.y1 + box.y2) / 2 + move[1] * down
    half_x, half_y = across * move[2] / 2, down * move[3] / 2
    return x - half_x, y - half_y, x + half_x, y + half_y
