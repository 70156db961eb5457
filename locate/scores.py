"""A cosine as a score of 0..1."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any

import torch

from sorce.models.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Likeness:
    """The checkpoint's own sigmoid if it has a scale and a bias (SigLIP, arXiv 2303.15343, equation 1).

    For any other checkpoint the score is (cosine + 1) / 2, which says only which of two is more alike.
    """

    scale: float | None = None
    bias: float = 0.0

    @classmethod
    def of(cls, encoder: Encoder) -> Likeness:
        for module in encoder.model.modules():
            part: Any = module
            scale, bias = getattr(part, "logit_scale", None), getattr(part, "logit_bias", None)
            if isinstance(scale, torch.Tensor) and isinstance(bias, torch.Tensor):
                return cls(scale.exp().item(), bias.item())
        return cls()

    def score(self, cosine: float) -> float:
        """0..1."""
        if self.scale is None:
            return min(1.0, max(0.0, (cosine + 1) / 2))
        return 1 / (1 + exp(-(self.scale * cosine + self.bias)))
