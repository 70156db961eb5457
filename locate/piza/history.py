"""The history encoder: from the boxes so far it says whether to stop, and how far the zoom has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from sorce.locate.piza.settings import HistorySizes

Rows = Sequence[Sequence[float]]
"""A history: boxes as x, y, width, height in pixels of the photo. The first one is the whole photo."""

HEADS, GROUPS = 4, 4
SMALL = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class ZoomProgress:
    """What the encoder says of each history: shapes (n,), (n,), and (n, out) of unit length.

    `stop` is the probability that the last box is the final one. `zoom` is how far the zoom has come, not rounded;
    about 0..1.
    """

    stop: Tensor
    zoom: Tensor
    embedding: Tensor


class FourierFeatures(nn.Module):
    """Learnable Fourier features of a point (arXiv 2106.02795)."""

    def __init__(self, numbers: int, frequencies: int, sizes: HistorySizes) -> None:
        super().__init__()
        self.Wr = nn.Parameter(torch.randn(frequencies, numbers))
        self.mlp = nn.Sequential(
            nn.Linear(2 * frequencies, sizes.inner), nn.GELU(), nn.Linear(sizes.inner, sizes.group)
        )

    def forward(self, points: Tensor) -> Tensor:
        """(..., numbers) to (..., group)."""
        angles = points @ self.Wr.T
        waves = torch.cat([angles.cos(), angles.sin()], -1) / (2 * len(self.Wr)) ** 0.5
        features: Tensor = self.mlp(waves)
        return features


class BoxEncoder(nn.Module):
    """From features of boxes to one vector for each history. The names of its parts are the released ones."""

    def __init__(self, sizes: HistorySizes) -> None:
        super().__init__()
        width = GROUPS * sizes.group
        self.lff1 = FourierFeatures(1, sizes.single, sizes)
        self.lff2 = FourierFeatures(2, sizes.pair, sizes)
        layer = nn.TransformerEncoderLayer(width, HEADS, sizes.feed_forward, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc3 = nn.Linear(width, sizes.out)

    def tokens(self, features: Tensor) -> Tensor:
        """(n, boxes, 6) to (n, boxes, width): two numbers one by one, then two points."""
        numbers = [self.lff1(features[..., :1]), self.lff1(features[..., 1:2])]
        points = [self.lff2(features[..., 2:4]), self.lff2(features[..., 4:6])]
        return torch.cat([*numbers, *points], -1)

    def forward(self, features: Tensor, padding: Tensor) -> Tensor:
        """(n, out), of unit length. The order of the boxes matters only through their features."""
        states: Tensor = self.fc3(self.transformer(self.tokens(features), src_key_padding_mask=padding))
        real = ~padding[..., None]
        return normalize((states * real).sum(1) / real.sum(1), dim=-1)


class HistoryEncoder(nn.Module):
    """The released box-sequence model."""

    def __init__(self, sizes: HistorySizes) -> None:
        super().__init__()
        self.box_encoder = BoxEncoder(sizes)
        self.binary_classifier = _head(sizes)
        self.continuous_regressor = _head(sizes)

    def forward(self, histories: Sequence[Rows]) -> ZoomProgress:
        """Histories may differ in length; a batch gives the same as one at a time."""
        features, padding = padded_features(histories, self.box_encoder.fc3.weight.device)
        embedding = self.box_encoder(features, padding)
        stop, zoom = self.binary_classifier(embedding), self.continuous_regressor(embedding)
        return ZoomProgress(stop[:, 0].sigmoid(), zoom[:, 0], embedding)


def padded_features(histories: Sequence[Rows], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Features of boxes, (n, longest, 6), zero after a history's end, and where that is, (n, longest)."""
    features = [box_features(torch.tensor(history, dtype=torch.float32)) for history in histories]
    lengths = torch.tensor([len(own) for own in features])
    padding = torch.arange(int(lengths.max())) >= lengths[:, None]
    return nn.utils.rnn.pad_sequence(features, batch_first=True).to(device), padding.to(device)


def box_features(boxes: Tensor) -> Tensor:
    """(n, 4) to (n, 6): area as a share of the first and of the previous one, then size and centre in the first."""
    x, y, width, height = boxes.unbind(1)
    area = width * height
    previous = area / (torch.cat([area[:1], area[:-1]]) + SMALL)
    previous[0] = 1
    columns = [area / area[0], previous, width / width[0], height / height[0]]
    return torch.stack([*columns, (x + width / 2) / width[0], (y + height / 2) / height[0]], 1)


def rounded(zooms: Tensor, step: float) -> Tensor:
    """To multiples of `step`; a half goes to the even one, as in the released code."""
    return torch.round(zooms / step) * step


def _head(sizes: HistorySizes) -> nn.Sequential:
    return nn.Sequential(nn.Linear(sizes.out, sizes.hidden), nn.ReLU(), nn.Linear(sizes.hidden, 1))
