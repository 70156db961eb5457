"""From a crop and a text to the network's input, as the released code does it.

transformers' own processor rounds sizes where the released code truncates, and does not close the last sentence.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from sorce.locate.piza.settings import PizaSettings, Variant

View = NDArray[np.uint8]
"""A resized crop: uint8 of shape (height, width, 3), RGB."""
FIRST_STRIDE = 8
"""Pixels per token in the finest level; each further level has twice as many."""


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


def with_enough_tokens(pixels: Tensor, levels: int, queries: int) -> Tensor:
    """The pixels, extended to the right and below with the mean colour until there is a token for each query.

    The released code fails for such a crop: 900 queries need 900 tokens, and a photo of 10,000 x 100 has fewer.
    """
    height, width = pixels.shape[-2:]
    tall, wide = height, width
    while _tokens(tall, wide, levels) < queries:
        tall, wide = (tall + FIRST_STRIDE, wide) if tall <= wide else (tall, wide + FIRST_STRIDE)
    return pad(pixels, (0, wide - width, 0, tall - height))


def _tokens(height: int, width: int, levels: int) -> int:
    strides = [FIRST_STRIDE << level for level in range(levels)]
    return sum(-(-height // stride) * -(-width // stride) for stride in strides)


def prompt(text: str, variant: Variant) -> str:
    """The text with its closing full stop. A token attends only to those between the same two stops."""
    # Tokenizers refuse half of a surrogate pair.
    plain = text.encode(errors="replace").decode()
    if variant == "demo":
        return re.sub(r"\([^()]*\)", "", plain).replace("_", " ").replace("  ", " ") + ". "
    return plain if plain.endswith(".") else plain + ". "
