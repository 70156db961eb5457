"""Adapter+ (arXiv 2510.03701, section 4; arXiv 2406.06820) and the embedding of the zoom value."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, silu


class Adapter(nn.Module):
    """x + scaling * up(GELU(down(x))), and with `zoom_width` also + proj(SiLU(e)) of the zoom embedding e."""

    def __init__(self, width: int, bottleneck: int, zoom_width: int | None = None) -> None:
        super().__init__()
        self.linear_down = nn.Linear(width, bottleneck)
        self.linear_up = nn.Linear(bottleneck, width)
        self.scaling = nn.Parameter(torch.ones(width))
        self.emb_proj = None if zoom_width is None else nn.Linear(zoom_width, width)

    def forward(self, states: Tensor, embedding: Tensor | None = None) -> Tensor:
        """`states` is (batch, tokens, width), `embedding` (batch, zoom width); its term is the same for all tokens."""
        adapted: Tensor = states + self.scaling * self.linear_up(gelu(self.linear_down(states)))
        if self.emb_proj is None or embedding is None:
            return adapted
        term: Tensor = self.emb_proj(silu(embedding))[:, None]
        return adapted + term


class ZoomEmbedding(nn.Module):
    """Sines and cosines of the zoom value, then two linear layers. The value is used as it is, about 0 to 1."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        self.dense = nn.ModuleList([nn.Linear(channels, width), nn.Linear(width, width)])

    def forward(self, zooms: Tensor) -> Tensor:
        """(n,) to (n, width)."""
        half = self.channels // 2
        steps = torch.arange(half, dtype=torch.float32, device=zooms.device)
        angles = zooms[:, None] * torch.exp(steps * -(math.log(10_000) / (half - 1)))
        waves = torch.cat([angles.sin(), angles.cos()], 1)
        embedded: Tensor = self.dense[1](silu(self.dense[0](waves)))
        return embedded
