"""The shared part of regions methods that embed each box as a separate image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL.Image import Image

from sorce.mappings import Box, Region, Vector
from sorce.models.encoder import Encoder
from sorce.models.image_processor import View
from sorce.models.model import Model


@dataclass(frozen=True, slots=True)
class Crops:
    """A photo's boxes, the whole photo first, and the network's view of each."""

    boxes: list[Box]
    views: list[View]


class CropModel(Model[Crops]):
    """Embeds crops. A subclass only defines how to cut a photo."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self.encoder.embed_texts(texts)

    def embed_images(self, images: Sequence[Image]) -> Vector:
        return self.encoder.embed_images(images)

    def pictures(self, prepared: Crops) -> int:
        return len(prepared.views)

    def encode(self, prepared: Sequence[Crops]) -> list[list[Region]]:
        # A batch may span several photos. Each region's vector is a row of one array.
        vectors = iter(self.encoder.embed_views([view for crops in prepared for view in crops.views]))
        return [
            [Region(box, next(vectors), "tile" if place else "whole") for place, box in enumerate(crops.boxes)]
            for crops in prepared
        ]
