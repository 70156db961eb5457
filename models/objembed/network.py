"""ObjEmbed's network (arXiv 2602.01753): transformers' Qwen3-VL, with additional parts to read boxes.

Parameters have their published names. Below, h is the language model's width. An image has rows x columns tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align  # type: ignore[import-untyped]
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel, Qwen3VLPreTrainedModel

CELLS = 7
TEMPERATURE = 10000
SINGLE = ["logit_log_scale", "logit_bias", "logit_image_log_scale", "logit_image_bias"]


@dataclass(frozen=True, slots=True, eq=False)
class ObjEmbedInput:
    """A photo and its prompt.

    `ids` (1, length) has the image token once for each token of the image. `pixels` and `grid` come from the image
    processor. `boxes` is float32 (n, 4) in pixels of the resized photo. `pairs` and `globals` (length,) mark the tokens
    of the boxes, two each, and of the whole photo.
    """

    ids: Tensor
    pixels: Tensor
    grid: Tensor
    boxes: Tensor
    pairs: Tensor
    globals: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """Final hidden states, not normalised: `objects` (n, h) and `globals` (1 or 2, h). Also `iou_logits` (n,)."""

    objects: Tensor
    globals: Tensor
    iou_logits: Tensor


def sines(shares: Tensor, width: int) -> Tensor:
    """Sine embedding, float32 (n, width), of (n, k) numbers: width / k waves each, alternating sine and cosine."""
    waves = width // shares.shape[1]
    places = torch.arange(waves, device=shares.device)
    lengths = TEMPERATURE ** (2 * (places // 2) / waves)
    angles = 2 * math.pi * shares.float()[..., None] / lengths
    return torch.where(places % 2 == 0, angles.sin(), angles.cos()).flatten(1)


def mlp(wide: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(wide, width), nn.GELU(), nn.Linear(width, out))


class BoxReader(Qwen3VLModel):  # type: ignore[no-untyped-call]
    """Qwen3-VL, with box features on three scales, and position terms of boxes and image tokens."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.width: int = config.text_config.hidden_size
        h = self.width
        self.token_side: int = config.vision_config.patch_size * config.vision_config.spatial_merge_size
        self.first_scale_conv1 = nn.ConvTranspose2d(h, h // 2, 2, 2)
        self.first_scale_norm = nn.LayerNorm(h // 2)
        self.first_scale_conv2 = nn.ConvTranspose2d(h // 2, h // 4, 2, 2)
        self.second_scale_conv = nn.ConvTranspose2d(h, h // 2, 2, 2)
        self.merge = nn.Linear(h // 4 + h // 2 + h, h)
        self.object_vision_projector = mlp(CELLS * CELLS * h, h, h)
        self.object_pos_projector = mlp(h, h, h)
        self.image_pos_projector = mlp(h, h, h)
        self.post_init()  # type: ignore[no-untyped-call]

    def cells(self, first: Tensor, second: Tensor, third: Tensor, boxes: Tensor) -> Tensor:
        """Features of each cell of each box: (n, 7, 7, h).

        `first`, `second` and `third` (1, h, rows, columns) are the second-last deepstack map, the last deepstack map,
        and the final map. They are upscaled by 4, 2 and 1.
        """
        inner = self.first_scale_conv1(first).permute(0, 2, 3, 1)
        inner = nn.functional.gelu(self.first_scale_norm(inner)).permute(0, 3, 1, 2)
        scales = (self.first_scale_conv2(inner), 4), (self.second_scale_conv(second), 2), (third, 1)
        # As released: as many samples of a cell as it has pixels, and no half-pixel shift.
        aligned = [roi_align(each.float(), [boxes], CELLS, times / self.token_side) for each, times in scales]
        merged: Tensor = self.merge(torch.cat(aligned, 1).permute(0, 2, 3, 1).to(third.dtype))
        return merged

    def box_terms(self, boxes: Tensor, rows: int, columns: int) -> Tensor:
        """Embedding of each box's position and size: (n, h)."""
        size = self.token_side * torch.tensor([columns, rows], device=boxes.device)
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2 / size).unbind(1)
        width, height = ((boxes[:, 2:] - boxes[:, :2]) / size).unbind(1)
        return self._projected(self.object_pos_projector, torch.stack([y, x, width, height], 1))

    def image_terms(self, rows: int, columns: int) -> Tensor:
        """Embedding of each image token's position: (rows * columns, h).

        The 0.5 is added to the share, not to the row and column, as released and trained.
        """
        down, across = (torch.arange(count, device=self.device) / count + 0.5 for count in (rows, columns))
        return self._projected(self.image_pos_projector, torch.cartesian_prod(down, across))

    def _projected(self, projector: nn.Sequential, shares: Tensor) -> Tensor:
        projected: Tensor = projector(sines(shares, self.width).to(self.dtype))
        return projected


class Network(Qwen3VLPreTrainedModel):  # type: ignore[no-untyped-call]
    """Runs one pass over a photo and all its boxes."""

    # Half precision would round these numbers, which the recipe contains.
    _keep_in_fp32_modules_strict = SINGLE

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        h = config.text_config.hidden_size
        self.model = BoxReader(config)
        self.logit_pos_embedding = nn.Embedding(1, h)
        self.logit_iou_proj = mlp(h, h // 2, 1)
        self.logit_log_scale = nn.Parameter(torch.zeros(1))
        self.logit_bias = nn.Parameter(torch.zeros(1))
        self.logit_image_log_scale = nn.Parameter(torch.zeros(1))
        self.logit_image_bias = nn.Parameter(torch.zeros(1))
        self.merge_size: int = config.vision_config.spatial_merge_size
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, asked: ObjEmbedInput) -> States:
        model, ids, (rows, columns) = self.model, asked.ids, self.shape(asked.grid)
        seen = model.get_image_features(asked.pixels, asked.grid, return_dict=True)
        deepstack, final = [maps[0] for maps in seen.deepstack_features], seen.pooler_output[0]
        images = ids == model.config.image_token_id
        embeds = model.get_input_embeddings()(ids)
        embeds[images] = final + model.image_terms(rows, columns)
        embeds[0, asked.pairs] = self.pairs([*deepstack[-2:], final], asked.boxes, rows, columns).to(embeds.dtype)
        # Without these, the language model would count positions in one dimension, since it gets only embeddings.
        positions, _ = model.get_rope_index(ids, images.int(), image_grid_thw=asked.grid)
        [states] = model.language_model(
            inputs_embeds=embeds,
            position_ids=positions,
            visual_pos_masks=images,
            deepstack_visual_embeds=deepstack,
            use_cache=False,
        ).last_hidden_state
        pairs = states[asked.pairs]
        return States(pairs[0::2], states[asked.globals], self.logit_iou_proj(pairs[1::2])[:, 0])

    def pairs(self, maps: list[Tensor], boxes: Tensor, rows: int, columns: int) -> Tensor:
        """(2 n, h): for each box, its features plus position, then a learned vector plus position."""
        first, second, third = (each.T.reshape(1, -1, rows, columns) for each in maps)
        where = self.model.box_terms(boxes, rows, columns)
        what = self.model.object_vision_projector(self.model.cells(first, second, third, boxes).flatten(1))
        return torch.stack([what + where, self.logit_pos_embedding.weight + where], 1).flatten(0, 1)

    def shape(self, grid: Tensor) -> tuple[int, int]:
        """Rows and columns of an image's tokens, from its grid (1, 3) of patches."""
        _, rows, columns = (grid[0] // self.merge_size).tolist()
        return rows, columns

    def matching(self) -> dict[str, float]:
        """The trained numbers of the matching score, sigmoid(scale * cosine + bias).

        Nine digits distinguish float32 numbers. More digits of the exponential would differ between machines.
        """
        scale, bias = math.exp(self.logit_log_scale.item()), self.logit_bias.item()
        return {"scale": float(f"{scale:.9g}"), "bias": float(f"{bias:.9g}")}
