"""Scales vectors to length 1. Every vector of a network passes through here."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sorce.errors import ModelError
from sorce.mappings import Vector


def normalised(vectors: Tensor) -> Tensor:
    """Vectors scaled to length 1 along the last dimension, float32. A zero vector becomes not-a-number."""
    return torch.nn.functional.normalize(vectors.float(), dim=-1, eps=0)


def unit_vectors(vectors: Tensor, model: str) -> Vector:
    """The same as an array. Raises a ModelError with the model's name if a vector is zero or not a number."""
    units: Vector = normalised(vectors).cpu().numpy()
    refuse_nan(units, model)
    return units


def refuse_nan(vectors: Vector, model: str) -> None:
    """Raises ModelError if a vector contains a value that is not finite."""
    if not np.isfinite(vectors).all():
        raise ModelError(
            f"model '{model}' gave a vector that is zero or no number: its weights may be damaged, "
            "or unfit for half precision (try --device cpu)."
        )
