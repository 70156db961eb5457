"""Vectors of length 1: all that sorce stores or compares goes through here."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sorce.errors import ModelError
from sorce.mappings import Vector


def normalised(vectors: Tensor) -> Tensor:
    """Each vector, along the last dimension, at length 1 in float32; a zero vector becomes not-a-number."""
    return torch.nn.functional.normalize(vectors.float(), dim=-1, eps=0)


def unit_vectors(vectors: Tensor, model: str) -> Vector:
    """The same as an array. Raises ModelError, which names the model, for a vector that is zero or not a number."""
    units: Vector = normalised(vectors).cpu().numpy()
    refuse_nan(units, model)
    return units


def refuse_nan(vectors: Vector, model: str) -> None:
    """Raises ModelError where a vector holds what is no number."""
    if not np.isfinite(vectors).all():
        raise ModelError(
            f"model '{model}' gave a vector that is zero or no number: its weights may be damaged, "
            "or unfit for half precision (try --device cpu)."
        )
