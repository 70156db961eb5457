"""Any object detector of transformers with a closed set of classes: DETR, RT-DETR, D-FINE, YOLOS and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sorce.errors import ModelError
from sorce.models.batches import Batches
from sorce.models.checkpoint import Checkpoint
from sorce.models.image_processor import REDUCING_GAP, View
from sorce.models.objects.loading import config_of, named, open_images, open_network, refuse_others
from sorce.models.objects.proposals import Detector, Found
from sorce.models.objects.windows import Look, Window, windows

# DETR's sizes, for a processor without sizes.
SHORTEST, LONGEST = 800, 1333


class ClosedSet(Detector):
    """A closed-set detector. The score of the most likely class is the quality; the class itself is dropped."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Raises ModelError if the checkpoint is no such detector, or is unavailable or incomplete."""
        self.name = named(checkpoint)
        config = config_of(checkpoint)
        refuse_others(config, checkpoint)
        self._images = open_images(checkpoint)
        if not hasattr(self._images, "post_process_object_detection"):
            raise ModelError(
                f"the image processor of model '{checkpoint.name}' does not say where objects are; "
                "choose a detector such as PekingU/rtdetr_r50vd."
            )
        self._network = open_network(checkpoint, config, device)
        self._sizes = _sizes(self._images)
        self.side = min(self._sizes)
        self.backend = "torchvision" if "Torchvision" in str(type(self._images).__mro__) else "pillow"
        # One at a time: views differ in shape, and some networks do not ignore the padding that a batch needs.
        self._batches = Batches(device, 1)

    def look(self, photo: Image.Image) -> Look:
        places = windows(photo.width, photo.height, self.side)
        return Look(photo.width, photo.height, places, [self._see(photo, window) for window in places])

    def found(self, look: Look) -> Found:
        rows = self._batches.run(self._forward, list(zip(look.views, look.windows, strict=True)))
        numbers = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(own) for own in rows]))
        joined = torch.cat(rows)
        return Found(joined[:, :4], joined[:, 4], numbers, joined[:, 5:])

    def _see(self, photo: Image.Image, window: Window) -> View:
        """The window, no larger than the processor will make it, so that a photo's views need little memory."""
        size = self._shrunk(window)
        if size == (window.width, window.height):
            return np.asarray(window.cut(photo))
        edges = (window.left, window.top, window.right, window.bottom)
        return np.asarray(photo.resize(size, Image.Resampling.BILINEAR, edges, REDUCING_GAP))

    def _shrunk(self, window: Window) -> tuple[int, int]:
        if self._images.size.get("height"):
            high, wide = self._sizes
            return min(window.width, wide), min(window.height, high)
        shortest, longest = self._sizes
        scale = min(1.0, shortest / min(window.width, window.height), longest / window.longer)
        return max(1, round(window.width * scale)), max(1, round(window.height * scale))

    @torch.inference_mode()
    def _forward(self, batch: Sequence[tuple[View, Window]]) -> Tensor:
        """(n, 5), on the CPU: corners in pixels of the photo, and quality."""
        [(view, window)] = batch
        device = self._network.device
        features = self._images(images=[Image.fromarray(view)], return_tensors="pt")
        outputs: Any = self._network(**features.to(device))
        sizes = torch.tensor([(window.height, window.width)], device=device)
        [said] = self._images.post_process_object_detection(outputs, threshold=0.0, target_sizes=sizes)
        corner = torch.tensor((window.left, window.top) * 2, dtype=torch.float32)
        return torch.cat([said["boxes"].float().cpu() + corner, said["scores"].float().cpu()[:, None]], 1)


def _sizes(processor: Any) -> tuple[int, int]:
    """Height and width of a fixed input, or else the target lengths of the shorter and the longer side."""
    size = processor.size
    if size.get("height"):
        return int(size.get("height")), int(size.get("width"))
    longest = size.get("longest_edge") or size.get("max_height") or LONGEST
    return int(size.get("shortest_edge") or min(SHORTEST, longest)), int(longest)
