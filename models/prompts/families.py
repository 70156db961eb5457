"""The difference between the families of chat models: how a photo becomes tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from transformers import LlavaNextProcessor

from sorce.errors import BadPhoto, ModelError
from sorce.mappings.recipe import Plain

QWEN_VL = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
FAMILIES = ("llava_next", *QWEN_VL)

# SORCE gives Qwen2-VL 256 to 1800 tokens per photo. A token is a square with a side of patch * merge pixels.
FEWEST_TOKENS, MAX_TOKENS = 256, 1800
# The default limit in all Qwen-VL checkpoints; nobody chose it deliberately.
SHIPPED_TOKENS = 16384
LONGEST_TO_SHORTEST = 200

Pixels = Mapping[str, torch.Tensor]
"""The input of the vision tower. Tensors of several photos are joined along the first dimension."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPhoto:
    """The network's view of a photo: size in pixels, number of image tokens, and pixel values."""

    width: int
    height: int
    image_tokens: int
    pixels: Pixels = field(repr=False)


@dataclass(frozen=True, slots=True)
class PixelLimits:
    """Limits of pixels to which a photo is scaled up or down; 0: the checkpoint or the publication decides."""

    min_pixels: int = 0
    max_pixels: int = 0


class Family(ABC):
    """The image half of a chat model's processor. Runs in any thread."""

    def __init__(self, images: Any, config: Any) -> None:
        self.images = images
        self.image_token: int = config.image_token_id

    @property
    def backend(self) -> str:
        """What resizes images, for the recipe."""
        return f"pillow-{Image.Resampling(int(self.images.resample)).name.lower()}"

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Plain]:
        """The limits that belong in a recipe."""

    @abstractmethod
    def see(self, photo: Image.Image) -> EncodedPhoto:
        """The network's view of an RGB photo. Raises BadPhoto if the network cannot take the photo."""


class LlavaNext(Family):
    """LLaVA-NeXT: tiles on the best of a few grids, and a thumbnail. E5-V and E5-V-ReP belong to it."""

    def __init__(self, images: Any, tokenizer: Any, config: Any) -> None:
        super().__init__(images, config)
        # From the network's configuration: published processors lack these fields or contradict it.
        processor: Any = LlavaNextProcessor
        self._processor = processor(
            images,
            tokenizer,
            patch_size=config.vision_config.patch_size,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            num_additional_image_tokens=1,
        )

    @property
    def parameters(self) -> Mapping[str, Plain]:
        return {}

    def see(self, photo: Image.Image) -> EncodedPhoto:
        features = self._processor(text=[self._processor.image_token], images=[photo], return_tensors="pt")
        tokens = int((features["input_ids"] == self.image_token).sum())
        pixels = {"pixel_values": features["pixel_values"][0], "image_sizes": features["image_sizes"]}
        return EncodedPhoto(photo.width, photo.height, tokens, pixels)


class QwenVL(Family):
    """Qwen2-VL, Qwen2.5-VL and Qwen3-VL: the whole photo, scaled to a limited number of tokens."""

    def __init__(self, images: Any, config: Any, limits: PixelLimits) -> None:
        super().__init__(images, config)
        self._limits = self._decided(limits)

    @property
    def parameters(self) -> Mapping[str, Plain]:
        return {"min_pixels": self._limits.min_pixels, "max_pixels": self._limits.max_pixels}

    def see(self, photo: Image.Image) -> EncodedPhoto:
        refuse_narrow(photo)
        size = {"shortest_edge": self._limits.min_pixels, "longest_edge": self._limits.max_pixels}
        pixels = self.images(images=[photo], size=size, return_tensors="pt")
        tokens = int(pixels["image_grid_thw"].prod()) // self.images.merge_size**2
        return EncodedPhoto(photo.width, photo.height, tokens, dict(pixels))

    def _decided(self, limits: PixelLimits) -> PixelLimits:
        token = (self.images.patch_size * self.images.merge_size) ** 2
        fewest, most = self.images.size["shortest_edge"], self.images.size["longest_edge"]
        if most == SHIPPED_TOKENS * token:
            fewest, most = FEWEST_TOKENS * token, MAX_TOKENS * token
        decided = PixelLimits(limits.min_pixels or fewest, limits.max_pixels or most)
        if not token <= decided.min_pixels <= decided.max_pixels:
            raise ModelError(
                f"min_pixels={decided.min_pixels} and max_pixels={decided.max_pixels} do not fit this model; "
                f"choose min_pixels of at least {token}, and max_pixels no smaller."
            )
        return decided


def refuse_narrow(photo: Image.Image) -> None:
    """Raises BadPhoto for a photo too narrow for Qwen-VL's resizing."""
    if max(photo.size) > LONGEST_TO_SHORTEST * min(photo.size):
        raise BadPhoto(
            f"a photo of {photo.width} x {photo.height} px is too narrow for this model; "
            f"cut it to at most {LONGEST_TO_SHORTEST} times as long as wide."
        )


def family_of(images: Any, tokenizer: Any, config: Any, limits: PixelLimits) -> Family:
    """The family of a configuration. Raises ModelError if the limits are invalid for it."""
    if config.model_type in QWEN_VL:
        return QwenVL(images, config, limits)
    if limits != PixelLimits():
        raise ModelError("LLaVA-NeXT has fixed picture sizes; leave min_pixels and max_pixels out.")
    return LlavaNext(images, tokenizer, config)


def usual_template(config: Any) -> str:
    """The name of the template that a checkpoint was published with."""
    if config.model_type == "llava_next":
        return "mistral" if config.text_config.model_type == "mistral" else "llama3"
    return "qwen3" if config.model_type == "qwen3_vl" else "qwen2"
