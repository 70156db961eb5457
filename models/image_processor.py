"""Turns a box of a photo into the input of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sorce.mappings import Box
from sorce.models.families import EncoderFamily

View = NDArray[np.uint8]
"""What the network sees of a box: uint8 of shape (height, width, 3)."""
Features = dict[str, Any]
"""What sentence-transformers passes to a network: tensors, and the key `modality`."""

# Above this ratio of sizes, Pillow first averages blocks. Large photos then shrink many times faster and look alike.
REDUCING_GAP = 3.0
# Encoders that take any shape shrink an image themselves, to far fewer pixels a side than this.
LONGEST_VIEW = 2048
USUAL_PATCHES, USUAL_PATCH = 256, 16
CLOSE = 1e-5


class ImageProcessor:
    """The image half of a processor. It crops and resizes in any thread, and makes pixel values in the encoder's.

    For a network with a fixed square input, a box is squashed to that square. CLIP's own processors would crop to the
    middle square instead, and then a region's vector would not show its whole box.
    """

    def __init__(self, model: Any, family: EncoderFamily) -> None:
        self._model, self._nested = model, family.nested
        self._prompt = str(model.prompts.get("document") or "")
        self._processor: Any = model.processor.image_processor
        self._side = _fixed_side(model.config)
        self._resample = Image.Resampling(int(getattr(self._processor, "resample", None) or Image.Resampling.BICUBIC))
        self._options = _settled(self._processor, fits=self._side is not None)
        self._line = self._learn_line(self._side) if self._side else None

    @property
    def input_size(self) -> int:
        """Side in pixels of the network's square input, or of a square with the network's number of patches."""
        if self._side:
            return self._side
        # EmbeddingGemma 2 averages squares of patches to one token each.
        soft = (getattr(self._processor, "max_soft_tokens", 0) or 0) * getattr(
            self._processor, "pooling_kernel_size", 1
        ) ** 2
        patches = soft or getattr(self._processor, "max_num_patches", None) or USUAL_PATCHES
        patch = getattr(self._processor, "patch_size", None) or USUAL_PATCH
        return round(math.sqrt(patches) * patch)

    @property
    def backend(self) -> str:
        """What resizes images, for the recipe."""
        if self._side:
            return f"pillow-{self._resample.name.lower()}"
        return "torchvision" if "Torchvision" in str(type(self._processor).__mro__) else "pillow"

    def view(self, photo: Image.Image, box: Box) -> View:
        """A box of an RGB photo at the network's size."""
        if self._side:
            return np.asarray(photo.resize((self._side, self._side), self._resample, box.as_tuple(), REDUCING_GAP))
        crop = photo.crop((math.floor(box.x1), math.floor(box.y1), math.ceil(box.x2), math.ceil(box.y2)))
        crop.thumbnail((LONGEST_VIEW, LONGEST_VIEW), self._resample)
        return np.asarray(crop)

    def scaled(self, photo: Image.Image, width: int, height: int) -> View:
        """An RGB photo scaled to this size, to cut views from."""
        return np.asarray(photo.resize((width, height), self._resample, reducing_gap=REDUCING_GAP))

    def features(self, views: Sequence[View]) -> Features:
        """Pixel values of a batch, on the network's device and in its number format."""
        if self._line is None:
            return on_device(self._processed(views), self._model)
        scale, shift = self._line
        # Bytes go to the device: a quarter of the size of floats.
        pixels = torch.from_numpy(np.stack(views)).to(self._model.device).permute(0, 3, 1, 2)
        values = torch.addcmul(shift, pixels, scale).to(self._model.dtype).contiguous()
        return {"pixel_values": values, "modality": "image"}

    def _processed(self, views: Sequence[View]) -> Features:
        pictures = [Image.fromarray(view) for view in views]
        if self._nested:
            inputs = self._model.processor(images=[[each] for each in pictures], return_tensors="pt")
            return {**inputs, "modality": "image"}
        features: Features = self._model.preprocess(pictures, self._prompt, processing_kwargs={"image": self._options})
        return features

    def _learn_line(self, side: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """How the processor maps a byte, as (scale, shift) for each channel; None if the mapping is not linear.

        For a small image, the processor takes longer than a small network, and it holds the interpreter's lock.
        """
        noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        features = self._processed([np.zeros_like(noise), np.full_like(noise, 255), noise])
        values = features["pixel_values"]
        if set(features) != {"pixel_values", "modality"} or values.shape != (3, 3, side, side):
            return None
        shift = values[0, :, :1, :1]
        scale = (values[1, :, :1, :1] - shift) / 255
        learned = scale * torch.from_numpy(noise).permute(2, 0, 1) + shift
        if (learned - values[2]).abs().max() > CLOSE:
            return None
        return scale.to(self._model.device), shift.to(self._model.device)


def _fixed_side(config: Any) -> int | None:
    size = getattr(getattr(config, "vision_config", None), "image_size", None)
    if isinstance(size, (list, tuple)) and len(set(size)) == 1:
        size = size[0]
    return size if isinstance(size, int) else None


def _settled(processor: Any, *, fits: bool) -> dict[str, Any]:
    """Options that the processor must not decide.

    A view that fits is not resized or cropped again. A view of any shape is divided as the checkpoint says: SigLIP2's
    processor would override the number and size of patches with its own.
    """
    if fits:
        return {name: False for name in ("do_resize", "do_center_crop") if getattr(processor, name, None) is not None}
    return {name: value for name in ("max_num_patches", "patch_size") if (value := getattr(processor, name, None))}


def on_device(features: Features, model: Any) -> Features:
    """The same features, with tensors on the model's device and pixels in the model's number format."""
    placed = {}
    for name, value in features.items():
        if isinstance(value, torch.Tensor):
            value = value.to(model.device, model.dtype if value.is_floating_point() else value.dtype)
        placed[name] = value
    return placed
