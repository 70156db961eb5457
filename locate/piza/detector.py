"""One step: a crop and the tokens of a text to boxes with scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sorce.errors import ModelError
from sorce.locate.piza.history import Rows, ZoomProgress
from sorce.locate.piza.network import PizaNetwork
from sorce.locate.piza.preprocessing import (
    normalised_pixels,
    prompt,
    resized,
    token_strides,
    with_enough_tokens,
)
from sorce.locate.piza.settings import PizaSettings


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """All queries' boxes, best first: float32 corners of shape (queries, 4) in pixels of the crop, and scores."""

    boxes: Tensor
    scores: Tensor


class PizaDetector:
    """The network, its tokenizer, and what is done before and after a pass. One image per pass."""

    def __init__(self, network: PizaNetwork, tokenizer: Any, name: str) -> None:
        self.network, self.name = network, name
        self.tokenizer = tokenizer
        config: Any = network.config
        self._strides, self._queries = token_strides(config), config.num_queries
        # More tokens would be cut inside the network, but not in its mask.
        self.longest = min(config.max_text_len, config.text_config.max_position_embeddings)

    @property
    def settings(self) -> PizaSettings:
        return self.network.settings

    def tokens(self, text: str) -> Tensor:
        """(1, tokens). A text that is too long is cut."""
        said = prompt(text, self.settings.variant)
        return torch.tensor([self.tokenizer(said, truncation=True, max_length=self.longest)["input_ids"]])

    def pixels(self, crop: Image.Image) -> tuple[Tensor, tuple[int, int]]:
        """The network's input for an RGB crop, (1, 3, height, width), and the crop's width and height in it."""
        view = resized(crop, self.settings)
        pixels = with_enough_tokens(normalised_pixels(view, self.settings), self._strides, self._queries)
        return pixels.to(self.network.device), (view.shape[1], view.shape[0])

    @torch.inference_mode()
    def progress(self, history: Rows) -> ZoomProgress:
        said: ZoomProgress = self.network.history_encoder([history])
        return said

    @torch.inference_mode()
    def detect(self, crop: Image.Image, tokens: Tensor, zoom: Tensor | None) -> Detections:
        """`crop` is RGB, `tokens` (1, n), `zoom` (1,)."""
        pixels, size = self.pixels(crop)
        output = self.network.detect(pixels, tokens.to(self.network.device), zoom)
        found = detections(output, (pixels.shape[-1], pixels.shape[-2]), size, crop.size)
        if not (found.boxes.isfinite().all() and found.scores.isfinite().all()):
            raise ModelError(
                f"model '{self.name}' gave a box that is not a number: its weights are damaged; get it again."
            )
        return found


def detections(output: Any, padded: tuple[int, int], size: tuple[int, int], crop: tuple[int, int]) -> Detections:
    """Boxes in pixels of the crop, from the network's shares of the padded input.

    They are clamped to the resized crop, then divided by the float32 scale. A box at the border can so end a little
    before it (199.99998), as in the released code. Each argument after the first is a width and a height.
    """
    scores, order = output.logits[0].sigmoid().max(-1).values.float().cpu().sort(descending=True, stable=True)
    centres, sizes = output.pred_boxes[0].float().cpu()[order].split(2, -1)
    corners = torch.stack([centres - 0.5 * sizes, centres + 0.5 * sizes], 1) * torch.tensor(padded)
    corners = torch.minimum(corners.clamp(min=0), torch.tensor(size, dtype=torch.float32))
    scale = torch.tensor([size[0] / crop[0], size[1] / crop[1]], dtype=torch.float32)
    return Detections((corners / scale).flatten(1), scores)
