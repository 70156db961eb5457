"""From a crop and a text to the network's input, as the released code does it.

transformers' own processor rounds sizes where the released code truncates, and does not close the last sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from sorce.locate.piza.settings import PizaSettings, Variant

View = NDArray[np.uint8]
"""A resized crop: uint8 of shape (height, width, 3), RGB."""


def resized_size(width: int, height: int, settings: PizaSettings) -> tuple[int, int]:
    """The largest width and height that fit `longer` and `shorter`, truncated; at least one pixel each."""
    longer, shorter = max(width, height), min(width, height)
    factor = min(settings.longer / longer, settings.shorter / shorter)
    return max(1, int(width * factor)), max(1, int(height * factor))


def resized(crop: Image.Image, settings: PizaSettings) -> View:
    """The crop of an RGB photo at the network's size."""
    return np.asarray(crop.resize(resized_size(*crop.size, settings), Image.Resampling.BILINEAR))


def normalised_pixels(view: View, settings: PizaSettings) -> Tensor:
    """float32 of shape (1, 3, height, width)."""
    mean, std = (np.array(values, np.float32) for values in (settings.mean, settings.std))
    return torch.from_numpy((view.astype(np.float32) - mean) / std).permute(2, 0, 1)[None].contiguous()


def token_strides(config: Any) -> list[int]:
    """Pixels per token of each level, the finest first, in a network of this configuration.

    The first levels are stages of the backbone, each with twice the stride of the stage before. Each further level has
    twice the stride of the level before.
    """
    backbone = config.backbone_config
    stages = [int(name.removeprefix("stage")) for name in backbone.out_features]
    strides = [backbone.patch_size << (stage - 1) for stage in stages]
    more = config.num_feature_levels - len(strides)
    return [*strides, *(strides[-1] << step for step in range(1, more + 1))]


def with_enough_tokens(pixels: Tensor, strides: Sequence[int], queries: int) -> Tensor:
    """The pixels, extended to the right and below with the mean colour until there is a token for each query.

    The released code fails for such a crop: 900 queries need 900 tokens, and a photo of 10,000 x 100 has fewer.
    """
    height, width = pixels.shape[-2:]
    tall, wide, step = height, width, min(strides)
    while _tokens(tall, wide, strides) < queries:
        tall, wide = (tall + step, wide) if tall <= wide else (tall, wide + step)
    return pad(pixels, (0, wide - width, 0, tall - height))


def _tokens(height: int, width: int, strides: Sequence[int]) -> int:
    return sum(-(-height // stride) * -(-width // stride) for stride in strides)


def prompt(text: str, variant: Variant) -> str:
    """The text with its closing full stop. A token attends only to those between the same two stops."""
    # Tokenizers refuse half of a surrogate pair.
    plain = text.encode(errors="replace").decode()
    if variant == "demo":
        # Greedy, as released: from the first bracket of a line to its last.
        return re.sub(r"\(.*\)", "", plain).replace("_", " ").replace("  ", " ") + ". "
    return plain if plain.endswith(".") else plain + ". "
