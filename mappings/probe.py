"""The probe: one text and its vector, which an index keeps. It serves to compare an encoder with the index's model."""

from __future__ import annotations

import base64
import binascii

import numpy as np

from sorce.mappings.unit import unit_rows
from sorce.mappings.values import Vector

TEXT = "a small RED umbrella, half hidden"
"""With capitals, to detect a service that does not lower-case texts for a model that needs it."""


def to_text(vector: Vector) -> str:
    """The vector in `_meta`: base64 of float16. Its cosine with the exact vector is above 0.999999."""
    return base64.b64encode(np.asarray(vector, "<f2").tobytes()).decode()


def from_text(text: object, dimension: int) -> Vector | None:
    """The unit vector, float32 of shape (dimension,); None if an index holds none, or anything else."""
    try:
        found = unit_rows(np.frombuffer(base64.b64decode(str(text), validate=True), "<f2"))
    except (binascii.Error, ValueError):
        return None
    return found if found.shape == (dimension,) else None
