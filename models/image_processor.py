"""Turns a box of a photo into the input of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers.image_utils import SizeDict

from sorce.mappings import Box
from sorce.models.families import EncoderFamily

View = NDArray[np.uint8]
"""What the network sees of a box: uint8 of shape (height, width, 3)."""
Features = dict[str, Any]
"""What sentence-transformers passes to a network: tensors, and the key `modality`."""

# Above this ratio of sizes, Pillow first averages blocks. Large photos then shrink many times faster and look alike.
REDUCING_GAP = 3.0
# Without it, torchvision would need a gigabyte for a photo of 100 million pixels.
MOST_PIXELS = 40_000_000
"""A photo of more is first shrunk to half or less by averaging blocks."""
# Encoders that take any shape shrink an image themselves, to far fewer pixels than these. Many views wait in memory.
MOST_PIXELS_OF_VIEW = 2048 * 2048
PILLOW = "pillow"
USUAL_PATCHES, USUAL_PATCH = 256, 16
CLOSE = 1e-5


class ImageProcessor:
    """The image half of a processor. It crops and resizes in any thread, and makes pixel values in the encoder's.

    For a network with a fixed square input, a box is squashed to that square. CLIP's own processors would crop to the
    middle square instead, and then a region's vector would not show its whole box. The processor's own function does
    the resizing, so that a vector is that of the model's own processor if that squashes, too, or the box is a square.
    """

    def __init__(self, model: Any, family: EncoderFamily, backend: str | None = None) -> None:
        """`backend` is that of an index that is there: sorce 0.1.0 resized by Pillow. None: as the processor does."""
        self._model, self._nested = model, family.nested
        self._prompt = str(model.prompts.get("document") or "")
        self._processor: Any = model.processor.image_processor
        self._has_torchvision = "Torchvision" in str(type(self._processor).__mro__)
        self._by_pillow = not self._has_torchvision or (backend or "").startswith(PILLOW)
        self._side = _fixed_side(model.config)
        resample = getattr(self._processor, "resample", None)
        self._resample = Image.Resampling.BICUBIC if resample is None else Image.Resampling(int(resample))
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
            return f"{PILLOW if self._by_pillow else 'torchvision'}-{self._resample.name.lower()}"
        return "torchvision" if self._has_torchvision else PILLOW

    def view(self, photo: Image.Image, box: Box) -> View:
        """A box of an RGB photo at the network's size."""
        # Only Pillow resizes a box whose edges lie within pixels.
        if self._side and (self._by_pillow or not all(float(edge).is_integer() for edge in box.as_tuple())):
            return np.asarray(photo.resize((self._side, self._side), self._resample, box.as_tuple(), REDUCING_GAP))
        edges = math.floor(box.x1), math.floor(box.y1), math.ceil(box.x2), math.ceil(box.y2)
        crop = photo if edges == (0, 0, *photo.size) else photo.crop(edges)
        if self._side:
            return self.scaled(crop, self._side, self._side)
        shrink = math.sqrt(MOST_PIXELS_OF_VIEW / (crop.width * crop.height))
        if shrink < 1:
            size = max(1, round(shrink * crop.width)), max(1, round(shrink * crop.height))
            crop = crop.resize(size, self._resample, reducing_gap=REDUCING_GAP)
        return np.asarray(crop)

    def scaled(self, photo: Image.Image, width: int, height: int) -> View:
        """An RGB photo scaled to this size, to cut views from."""
        if self._by_pillow:
            return np.asarray(photo.resize((width, height), self._resample, reducing_gap=REDUCING_GAP))
        gap = min(photo.width / width, photo.height / height) / REDUCING_GAP
        if gap >= 2 and photo.width * photo.height > MOST_PIXELS:
            photo = photo.reduce(int(gap))
        pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
        size = SizeDict(height=height, width=width)
        found: View = self._processor.resize(pixels, size, self._resample).permute(1, 2, 0).numpy()
        return found

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
