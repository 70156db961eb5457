"""The picture tower on its own, as stage 1 trains it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import CLIPVisionModel

from training.mini.clip import DIMENSION, GRID, MEAN, PATCH, STD, WIDTH, vision_config


class Vision(nn.Module):
    """CLIP's picture tower with its projection. Names are those of `CLIPModel`, so that weights can be copied."""

    def __init__(self) -> None:
        super().__init__()
        config = vision_config()
        # Eager attention: with 37 tokens, the fused kernel's backward pass takes twice as long on a CPU.
        config._attn_implementation = "eager"
        self.vision_model = CLIPVisionModel(config)
        self.visual_projection = nn.Linear(WIDTH, DIMENSION, bias=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of the tiles (B, D) and of their patches (B, P, D). `pixels` come from `prepared`."""
        out = self.vision_model(pixel_values=pixels)
        last = self.vision_model.post_layernorm(out.last_hidden_state)
        vectors = normalize(self.visual_projection(last).float(), dim=2)
        return vectors[:, 0], vectors[:, 1:]


def prepared(pixels: Tensor) -> Tensor:
    """Converts uint8 (B, H, W, 3) to the tower's input, float32 (B, 3, H, W)."""
    return ((pixels.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def start(vision: Vision, pixels: Tensor) -> None:
    """Initialises patch filters with whitened principal components of `pixels`, and positions with sine and cosine."""
    cut = pixels.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH**2)
    values, vectors = torch.linalg.eigh(torch.cov(cut.T))
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
