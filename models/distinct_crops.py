"""Chooses crops before they are encoded: by their pixels, which costs little beside the encoder.

Half of the crops find as much as all of them (`make measures ONLY=finds`, "encoded_share"). Most crops show what a
neighbour shows, or nothing but background.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sorce.mappings import Vector
from sorce.models.image_processor import View
from sorce.models.near_duplicates import most_distinct

# All numbers here were chosen with `mini` on the choosing scenes.
SIDE = 32
"""Crops are compared in this many pixels a side."""
LEVELS = 4
"""Levels of each colour in a histogram."""
BORDER = 3
"""Width of the border, in these pixels, whose edges count against a crop."""
STEADY = 2.0
"""Added to both edge strengths, so that noise in flat crops counts little."""


def distinct_crops(views: Sequence[View], most: int) -> list[int]:
    """Indices of at most `most` crops, in ascending order; the first is always kept.

    Each step takes the crop whose colours differ most from all taken so far (`most_distinct`), times how much stronger
    its edges are inside than along its border: a thing that lies inside as a whole has no edges there. `views` are
    uint8 of shape (height, width, 3).
    """
    if len(views) <= most:
        return list(range(len(views)))
    small = np.stack([_small(view) for view in views])
    return most_distinct(_colours(small), most, _wholeness(small))


def _small(view: View) -> Vector:
    return np.asarray(Image.fromarray(np.ascontiguousarray(view)).resize((SIDE, SIDE), Image.Resampling.BOX))


def _colours(small: Vector) -> Vector:
    """The square roots of the crops' colour histograms (n, LEVELS ** 3): unit vectors."""
    levels = small.astype(np.int64) * LEVELS // 256
    bins = (levels[..., 0] * LEVELS + levels[..., 1]) * LEVELS + levels[..., 2]
    count = LEVELS**3
    places = np.arange(len(small))[:, None] * count + bins.reshape(len(small), -1)
    sums = np.bincount(places.ravel(), minlength=len(small) * count)
    return np.sqrt(sums.reshape(len(small), count) / SIDE**2).astype(np.float32)


def _wholeness(small: Vector) -> Vector:
    """The square root of how much stronger edges are inside than along the border (n,)."""
    pixels = small.astype(np.float32)
    edges = np.zeros(pixels.shape[:3], np.float32)
    edges[:, :, 1:-1] += np.abs(pixels[:, :, 2:] - pixels[:, :, :-2]).max(3)
    edges[:, 1:-1] += np.abs(pixels[:, 2:] - pixels[:, :-2]).max(3)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    strength: Vector = np.sqrt((edges[:, inside].mean(1) + STEADY) / (edges[:, ~inside].mean(1) + STEADY))
    return strength
