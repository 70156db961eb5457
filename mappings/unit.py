"""Scales vectors to length 1 with numpy alone. `sorce.models.normalise` does that for the vectors of a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sorce.mappings.values import Vector


def unit_rows(vectors: ArrayLike) -> Vector:
    """Each vector along the last dimension, scaled to length 1: float32 of the same shape.

    Raises ValueError if a vector is zero, or holds a value that is not finite.
    """
    exact = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(exact, axis=-1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError("a vector is zero or not finite")
    units: Vector = (exact / lengths).astype(np.float32)
    return units
