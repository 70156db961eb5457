"""Turns a photo and its boxes into the input of ObjEmbed's network: 900 to 1,200 image tokens of 32 x 32 pixels.

The two limits and Pillow's bicubic resizing come from the released code (`vision_process.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from sorce.mappings import Vector
from sorce.models.image_processor import View

FEWEST_TOKENS, MAX_TOKENS = 900, 1200
BACKEND = "pillow-bicubic"


def fitted(photo: Image.Image, side: int, fewest: int = FEWEST_TOKENS, most: int = MAX_TOKENS) -> View:
    """Scales the photo to multiples of `side` pixels: `fewest` to `most` tokens of `side` x `side`.

    The shape is nearly kept. A narrow photo may have a few more tokens, since its sides are rounded up.
    """
    size = smart_resize(photo.height, photo.width, side, fewest * side**2, most * side**2)
    return np.asarray(photo.resize(size[::-1], Image.Resampling.BICUBIC))


def patches(images: Any, view: View) -> tuple[Tensor, Tensor]:
    """Pixel values (patches, values of a patch) and the grid (1, 3) of one image, from the image processor."""
    features = images(images=[Image.fromarray(view)], do_resize=False, return_tensors="pt")
    return features["pixel_values"], features["image_grid_thw"]


def scaled(boxes: Vector, width: int, height: int, view: View) -> Tensor:
    """Converts boxes (n, 4) from pixels of the photo to pixels of the view, float32.

    Never in half precision: bfloat16 rounds pixels beyond 2,048 to steps of 16, and small boxes would lose their area.
    """
    down, across = view.shape[:2]
    ratio = torch.tensor([width, height] * 2, dtype=torch.float32) / torch.tensor([across, down] * 2)
    return torch.from_numpy(boxes).float() / ratio
