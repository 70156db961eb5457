"""Chooses crops before they are encoded: by their pixels, which costs little beside the encoder.

Half of the crops find nearly as much as all of them (`make measures ONLY=finds`, "encoded_share"). Most crops show what
a neighbour shows, or nothing but background.
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
LEVELS = 7
"""Levels of each colour in a histogram."""
SPREAD = 7
"""Standard deviation, in these pixels, of the weights by which an edge counts as near the middle."""
STEADY = 2.0
"""Added to the mean strength of edges, so that noise in flat crops counts little."""
SHARPNESS = 1.5
"""The exponent of how much of a crop's edges lies near its middle."""


def distinct_crops(views: Sequence[View], most: int) -> list[int]:
    """Indices of at most `most` crops, in ascending order; the first is always kept.

    Each step takes the crop whose colours differ most from all taken so far (`most_distinct`), times how much stronger
    its edges are near its middle than elsewhere: so is a thing that lies there as a whole. `views` are uint8 of shape
    (height, width, 3).
    """
    if len(views) <= most:
        return list(range(len(views)))
    small = np.stack([_small(view) for view in views])
    return most_distinct(_colours(small), most, _centred(small))


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


def _centred(small: Vector) -> Vector:
    """How much stronger edges are near the middle than in all of the crop (n,)."""
    pixels = small.astype(np.float32)
    edges = np.zeros(pixels.shape[:3], np.float32)
    edges[:, :, 1:-1] += np.abs(pixels[:, :, 2:] - pixels[:, :, :-2]).max(3)
    edges[:, 1:-1] += np.abs(pixels[:, 2:] - pixels[:, :-2]).max(3)
    near = np.exp(-(((np.arange(SIDE) - (SIDE - 1) / 2) / SPREAD) ** 2) / 2).astype(np.float32)
    middle = np.einsum("nyx,y,x->n", edges, near, near) / near.sum() ** 2
    strength: Vector = (middle / (edges.mean((1, 2)) + STEADY)) ** SHARPNESS
    return strength
