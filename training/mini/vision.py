"""The picture tower on its own, as stage 1 trains it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize
from transformers import CLIPVisionModel
from transformers.models.clip.modeling_clip import CLIPAttention, CLIPEncoderLayer

from training.mini.clip import DIMENSION, GRID, MEAN, PATCH, STD, WIDTH, vision_config


class Vision(nn.Module):
    """CLIP's picture tower with its projection. Names are those of `CLIPModel`, so that weights can be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.vision_model = CLIPVisionModel(vision_config())
        self.visual_projection = nn.Linear(WIDTH, DIMENSION, bias=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of the tiles (B, D) and of their patches (B, P, D). `pixels` are uint8 (B, H, W, 3).

        Computes what `CLIPModel` computes, in fewer and larger products: a step takes less time on a CPU.
        """
        model = self.vision_model
        filters = model.embeddings.patch_embedding.weight
        patches = linear(cut(prepared(pixels)), filters.reshape(WIDTH, -1))
        first = model.embeddings.class_embedding.expand(len(pixels), 1, -1)
        tokens = torch.cat([first, patches.float()], 1) + model.embeddings.position_embedding.weight
        tokens = model.pre_layrnorm(tokens)
        for layer in model.encoder.layers:
            assert isinstance(layer, CLIPEncoderLayer)
            tokens = tokens + _attended(layer.self_attn, layer.layer_norm1(tokens))
            tokens = tokens + layer.mlp(layer.layer_norm2(tokens))
        vectors = normalize(self.visual_projection(model.post_layernorm(tokens)).float(), dim=2)
        return vectors[:, 0], vectors[:, 1:]


def _attended(attention: CLIPAttention, tokens: Tensor) -> Tensor:
    """Self-attention: one product for queries, keys and values, and no fused kernel.

    With 37 tokens, the fused kernel's backward pass takes twice as long on a CPU.
    """
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    weight, bias = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
    batch, count, width = tokens.shape
    heads = attention.num_heads
    query, key, value = linear(tokens, weight, bias).view(batch, count, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    shares = (query @ key.mT * attention.scale).softmax(3)
    mixed = (shares.to(value.dtype) @ value).transpose(1, 2).reshape(batch, count, width)
    out: Tensor = attention.out_proj(mixed)
    return out


def prepared(pixels: Tensor) -> Tensor:
    """Converts uint8 (B, H, W, 3) to the tower's input, float32 (B, 3, H, W)."""
    return ((pixels.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def cut(pixels: Tensor) -> Tensor:
    """The patches of (B, 3, H, W), row by row: (B, P, 3 * PATCH ** 2)."""
    rows = pixels.reshape(len(pixels), 3, GRID, PATCH, GRID, PATCH).permute(0, 2, 4, 1, 3, 5)
    return rows.reshape(len(pixels), GRID**2, 3 * PATCH**2)


@torch.no_grad()
def start(vision: Vision, pixels: Tensor) -> None:
    """Initialises patch filters with whitened principal components of `pixels`, and positions with sine and cosine.

    `pixels` are uint8 (B, H, W, 3).
    """
    pieces = cut(prepared(pixels)).reshape(-1, 3 * PATCH**2)
    values, vectors = torch.linalg.eigh(torch.cov(pieces.T))
    values, vectors = values.flip(0)[:WIDTH], vectors.flip(1)[:, :WIDTH]
    filters = (vectors / (values + 0.01 * values[0] / PATCH).sqrt()).T
    embeddings = vision.vision_model.embeddings
    embeddings.patch_embedding.weight.copy_(filters.reshape(WIDTH, 3, PATCH, PATCH))
    at = torch.arange(GRID).float()
    rates = torch.exp(-torch.arange(WIDTH // 4) / (WIDTH // 4) * 3.0)
    waves = torch.cat([(at[:, None] * rates).sin(), (at[:, None] * rates).cos()], 1)
    grid = torch.cat([waves[:, None].expand(-1, GRID, -1), waves[None].expand(GRID, -1, -1)], 2).reshape(GRID**2, WIDTH)
    embeddings.position_embedding.weight[1:] = 0.5 * grid
    embeddings.position_embedding.weight[0] = 0
    embeddings.class_embedding.normal_(std=0.5)
