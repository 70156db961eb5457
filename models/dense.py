"""Dense features: a vector for each patch of an image, in the space of the encoder's texts, without training.

CLIP's texts were not trained to match its patch tokens. Three papers fix that and change only the last block:
MaskCLIP (arXiv 2112.01071), SCLIP (2312.01597) and NACLIP (2404.08181). SigLIP pools with an attention head; the
head's value projection maps a single patch into the space of the texts. TIPSv2 needs no such change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel, SiglipModel, Tipsv2Model

from sorce.errors import ModelError
from sorce.models.image_processor import View
from sorce.models.normalise import normalised

AUTO = "auto"
VALUE = "value"
PATCH = "patch"
POSITIONS = ("size", "scale")
"""Interpolation of positions: to the target size (transformers, MaskCLIP) or by a scale factor (NACLIP, SCLIP)."""

# Standard deviation of NACLIP's Gaussian, in patches.
NEAR = 5.0
# NACLIP and SCLIP add it so that rounding cannot lose a row. It also shifts the grid a little.
SCALE_MARGIN = 0.1
# Their vectors are held in memory until they are summed: 100 MB for ViT-B/16.
WINDOWS_AT_ONCE = 256

Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Attention weights from queries and keys, and nearness (tokens, tokens).

Queries and keys are (n, heads, tokens, width), each scaled by width ** -1/4.
"""


def _own(queries: Tensor, keys: Tensor, nearness: Tensor) -> Tensor:  # noqa: ARG001
    return _weights(queries @ keys.mT)


def _correlative(queries: Tensor, keys: Tensor, nearness: Tensor) -> Tensor:  # noqa: ARG001
    return _weights(queries @ queries.mT) + _weights(keys @ keys.mT)


def _near(queries: Tensor, keys: Tensor, nearness: Tensor) -> Tensor:  # noqa: ARG001
    return _weights(keys @ keys.mT + nearness)


def _weights(logits: Tensor) -> Tensor:
    return logits.softmax(-1, dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class LastBlock:
    """How the last block is changed: what mixes its patches (None: nothing), and whether the rest of it is kept."""

    mix: Mix | None
    keeps_residual_and_mlp: bool


CLIP_FEATURES: Mapping[str, LastBlock] = {
    "naclip": LastBlock(_near, False),
    "naclip_full": LastBlock(_near, True),
    "sclip": LastBlock(_correlative, True),
    "maskclip": LastBlock(None, True),
    "maskclip_reduced": LastBlock(None, False),
    "vanilla": LastBlock(_own, True),
}
"""`naclip`, `sclip` and `maskclip` do what their authors' code does. `vanilla` is unchanged CLIP, for an encoder whose
patch tokens were trained too."""


class Dense(ABC):
    """Patch features of images of any size.

    `patch` is a patch's side in pixels. `side` is the number of patches along a side of the network's own input.
    `features` names the computed features.
    """

    patch: int
    side: int
    features: str

    @abstractmethod
    def __call__(self, pixels: Tensor) -> Tensor:
        """Unit vectors, float32 of shape (n, rows, columns, dimension), of normalised pixels (n, 3, height, width).

        Height and width are whole numbers of patches. Positions are interpolated if the size is not the network's own.
        """


class DenseClip(Dense):
    """A CLIP with a changed last block. The earlier blocks and the projection are transformers' own."""

    def __init__(self, clip: CLIPModel, features: str, positions: str) -> None:
        self._tower: Any = clip.vision_model
        self._projection = clip.visual_projection
        self._last_block = CLIP_FEATURES[features]
        self._positions = positions
        self.features = features
        self.patch, self.side = _geometry(clip)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        rows, columns = pixels.shape[2] // self.patch, pixels.shape[3] // self.patch
        *earlier, last = self._tower.encoder.layers
        hidden = self._tower.pre_layrnorm(self._embedded(pixels, rows, columns))
        for layer in earlier:
            hidden = layer(hidden, None)
        hidden = self._through(last, hidden, rows, columns)
        patches = self._projection(self._tower.post_layernorm(hidden[:, 1:]))
        return normalised(patches).reshape(len(pixels), rows, columns, -1)

    def _embedded(self, pixels: Tensor, rows: int, columns: int) -> Tensor:
        """The embeddings of class token and patches, with positions: (n, 1 + rows * columns, width)."""
        embeddings = self._tower.embeddings
        if self._positions == "size" or rows == columns == self.side:
            tokens: Tensor = embeddings(pixels, interpolate_pos_encoding=True)
            return tokens
        table = embeddings.position_embedding.weight
        square = table[1:].unflatten(0, (self.side, self.side)).permute(2, 0, 1)[None]
        factors = ((rows + SCALE_MARGIN) / self.side, (columns + SCALE_MARGIN) / self.side)
        positions = functional.interpolate(square, scale_factor=factors, mode="bicubic", recompute_scale_factor=False)
        patches = embeddings.patch_embedding(pixels).flatten(2).mT + positions[0].flatten(1).mT
        first = (embeddings.class_embedding + table[0]).expand(len(pixels), 1, -1)
        return torch.cat([first, patches], 1)

    def _through(self, layer: Any, hidden: Tensor, rows: int, columns: int) -> Tensor:
        """Applies the last block; input and output are (n, tokens, width)."""
        attention, normed = layer.self_attn, layer.layer_norm1(hidden)
        mixed = attention.v_proj(normed)
        if self._last_block.mix is not None:
            queries, keys, values = (
                part.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
                for part in (attention.q_proj(normed), attention.k_proj(normed), mixed)
            )
            root = attention.scale**0.5
            weights = self._last_block.mix(queries * root, keys * root, _gaussian(rows, columns).to(hidden.device))
            mixed = (weights.to(values.dtype) @ values).transpose(1, 2).flatten(2)
        out: Tensor = attention.out_proj(mixed)
        if self._last_block.keeps_residual_and_mlp:
            out = hidden + out
            out = out + layer.mlp(layer.layer_norm2(out))
        return out


class DenseSiglip(Dense):
    """A SigLIP whose pooling head sees each patch alone. Its attention then reduces to the value projection."""

    features = VALUE

    def __init__(self, siglip: SiglipModel) -> None:
        self._tower: Any = siglip.vision_model
        self.patch, self.side = _geometry(siglip)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        rows, columns = pixels.shape[2] // self.patch, pixels.shape[3] // self.patch
        tokens = self._tower(pixels, interpolate_pos_encoding=True).last_hidden_state
        head = self._tower.head
        # One matrix holds the projections of query, key and value.
        weight, bias = head.attention.in_proj_weight.chunk(3)[2], head.attention.in_proj_bias.chunk(3)[2]
        pooled = head.attention.out_proj(functional.linear(tokens, weight, bias))
        return normalised(pooled + head.mlp(head.layernorm(pooled))).reshape(len(pixels), rows, columns, -1)


class DenseTips(Dense):
    """A TIPSv2: its patches were trained to match texts (arXiv 2604.12012), so they are taken as they are."""

    features = PATCH

    def __init__(self, tips: Tipsv2Model) -> None:
        self._tower: Any = tips.vision_model
        self.patch, self.side = _geometry(tips)

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Tensor:
        rows, columns = pixels.shape[2] // self.patch, pixels.shape[3] // self.patch
        tokens = self._tower(pixels).last_hidden_state
        return normalised(tokens[:, -rows * columns :]).reshape(len(pixels), rows, columns, -1)


def open_dense(model: nn.Module, name: str, features: str = AUTO, positions: str = "size") -> Dense:
    """The dense features of the CLIP, SigLIP or TIPSv2 inside `model`. `name` is for error messages.

    `auto` is `naclip` for a CLIP, `value` for a SigLIP and `patch` for a TIPSv2. Raises ModelError for another family,
    and for features that the family does not have.
    """
    network: Any = next((part for part in model.modules() if isinstance(part, tuple(OFFERED))), None)
    if network is None or (isinstance(network, SiglipModel) and not network.vision_model.use_head):
        raise ModelError(
            f"model '{name}' has no patch features, since it is no CLIP, no TIPSv2 and no SigLIP of fixed input size; "
            "choose mini, openai/clip-vit-base-patch16, google/tipsv2-b14 or google/siglip2-base-patch16-256, or the "
            "regions method tiles."
        )
    family, offered, ways = next(each for kind, each in OFFERED.items() if isinstance(network, kind))
    if features not in (AUTO, *offered) or positions not in ways:
        raise ModelError(
            f"model '{name}' is a {family} and has no features={features} with "
            f"positions={positions}; choose features of {', '.join((AUTO, *offered))}, "
            f"and positions of {', '.join(ways)}."
        )
    if isinstance(network, Tipsv2Model):
        return DenseTips(network)
    if isinstance(network, SiglipModel):
        return DenseSiglip(network)
    return DenseClip(network, offered[0] if features == AUTO else features, positions)


OFFERED: Mapping[type, tuple[str, Sequence[str], Sequence[str]]] = {
    CLIPModel: ("CLIP", tuple(CLIP_FEATURES), POSITIONS),
    SiglipModel: ("SigLIP", (VALUE,), POSITIONS[:1]),
    Tipsv2Model: ("TIPSv2", (PATCH,), POSITIONS[:1]),
}
"""The families with dense features: their name, features and interpolations of positions."""


def windowed(embed: Callable[[Sequence[View]], Tensor], picture: View, dense: Dense) -> Tensor:
    """Unit vectors, float32 of shape (rows, columns, dimension), of an image of whole patches (height, width, 3).

    The network sees windows of its own input size that overlap by half, as in NACLIP and SCLIP for large images. A
    patch's vector is the mean over the windows that contain it. A side shorter than a window is not divided. `embed`
    turns views of one size into their patches' vectors (n, rows, columns, dimension).
    """
    patch = dense.patch
    rows, columns = picture.shape[0] // patch, picture.shape[1] // patch
    down, across = min(rows, dense.side), min(columns, dense.side)
    corners = [(top, left) for top in _starts(rows, down) for left in _starts(columns, across)]
    total: Tensor | None = None
    for start in range(0, len(corners), WINDOWS_AT_ONCE):
        some = corners[start : start + WINDOWS_AT_ONCE]
        vectors = embed([_cut(picture, top * patch, left * patch, down * patch, across * patch) for top, left in some])
        total = vectors.new_zeros((rows, columns, vectors.shape[3])) if total is None else total
        for (top, left), window in zip(some, vectors, strict=True):
            total[top : top + down, left : left + across] += window
    assert total is not None
    # The sum has the direction of the mean.
    return normalised(total)


def _cut(picture: View, top: int, left: int, height: int, width: int) -> View:
    return picture[top : top + height, left : left + width]


def _gaussian(rows: int, columns: int) -> Tensor:
    """NACLIP's Gaussian of the distance on the grid: a square matrix of side 1 + rows * columns; class token: 0."""
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    squared = (places[:, None] - places[None]).square().sum(-1)
    return functional.pad(torch.exp(-squared / (2 * NEAR**2)), (1, 0, 1, 0))


def _starts(length: int, window: int) -> Iterator[int]:
    """The first patch of each window; windows overlap by half or more and reach from edge to edge."""
    steps = -(-(length - window) // max(1, window // 2))
    return (number * (length - window) // max(1, steps) for number in range(steps + 1))


def _geometry(network: Any) -> tuple[int, int]:
    config = network.config.vision_config
    return config.patch_size, config.image_size // config.patch_size
