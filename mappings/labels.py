"""Boxes of label files, brought into the picture that is at hand. It may be a copy of another size."""

from __future__ import annotations

from sorce.mappings.values import Box

BEYOND = 1.0
"""A box that exceeds its picture by at most this many pixels is due to rounding."""

SAME_SHAPE = 0.01
"""The ratios of width to height may differ by this share."""

Corners = tuple[float, float, float, float]
"""x1, y1, x2, y2 of a box."""

Size = tuple[float, float]
"""Width and height."""


def scale_to(size: Size, stated: Size) -> float | None:
    """The factor from the size that a label file states to the picture's own; None where the shapes differ."""
    across, down = size[0] / stated[0], size[1] / stated[1]
    return across if abs(across / down - 1) < SAME_SHAPE else None


def cut(corners: Corners, size: Size) -> Box | None:
    """The part of a box that is in a picture of this size; None if no part is."""
    x1, y1, x2, y2 = corners
    inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(size[0])), min(y2, float(size[1]))
    return Box(*inside) if inside[0] < inside[2] and inside[1] < inside[3] else None


def reaches_beyond(corners: Corners, size: Size) -> bool:
    """Whether more of a box is outside of a picture of this size than rounding explains."""
    x1, y1, x2, y2 = corners
    return min(x1, y1) < -BEYOND or x2 > size[0] + BEYOND or y2 > size[1] + BEYOND
