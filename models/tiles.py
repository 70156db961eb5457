"""The regions method `tiles`: overlapping squares on several scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from sorce.errors import ModelError
from sorce.mappings import Box, Region
from sorce.models.crops import CropModel, Crops
from sorce.models.encoder import Encoder
from sorce.models.near_duplicates import most_distinct
from sorce.models.tiling import MAX_REGIONS, MAX_STORED, MIN_OBJECT_SIZE, all_grids, fit, plan


class Tiles(CropModel):
    """The whole photo, and tiles in which an object of the smallest size still shows."""

    def __init__(
        self,
        encoder: Encoder,
        min_object_size: float = MIN_OBJECT_SIZE,
        max_regions: int = MAX_REGIONS,
        max_stored: int = MAX_STORED,
    ) -> None:
        """`min_object_size` is the side of the smallest object to find, as a share of the photo's longer side.

        `max_regions` is the most regions of a photo that are encoded, the whole photo included, and `max_stored` how
        many of these are stored: those that nearly repeat others are left out. Raises ModelError.
        """
        super().__init__(encoder)
        if not 0 < min_object_size <= 1:
            raise ModelError(
                f"min_object_size={min_object_size} is no share of a photo's side; choose one in (0, 1], "
                f"such as {MIN_OBJECT_SIZE}."
            )
        for name, value, usual in (("max_regions", max_regions, MAX_REGIONS), ("max_stored", max_stored, MAX_STORED)):
            if value < 1:
                raise ModelError(
                    f"{name}={value} leaves no room for the photo itself; choose 1 or more, such as {usual}."
                )
        self.min_object_size = min_object_size
        self.max_regions = max_regions
        self.max_stored = max_stored
        self.recipe = encoder.recipe(
            "tiles", {"min_object_size": min_object_size, "max_regions": max_regions, "max_stored": max_stored}
        )

    def prepare(self, photo: Image) -> Crops:
        whole = Box(0, 0, photo.width, photo.height)
        crops = Crops([whole], [self.encoder.view(photo, whole)])
        for sheet in plan(photo.width, photo.height, self.min_object_size, self.max_regions, self.encoder.input_size):
            scaled, far = self.encoder.scaled(photo, sheet.width, sheet.height), sheet.window
            crops.boxes.extend(sheet.boxes(photo.width, photo.height))
            crops.views.extend(scaled[top : top + far, left : left + far] for left, top in sheet.corners())
        return crops

    def encode(self, prepared: Sequence[Crops]) -> list[list[Region]]:
        return [self._distinct(regions) for regions in super().encode(prepared)]

    def _distinct(self, regions: list[Region]) -> list[Region]:
        return [
            regions[place] for place in most_distinct(np.stack([region.vec for region in regions]), self.max_stored)
        ]

    def note(self, width: int, height: int) -> str | None:
        """What `max_regions` costs photos of this size, as a sentence; None where it costs nothing."""
        wanted = all_grids(width, height, self.min_object_size, self.encoder.input_size)
        got = fit(wanted, width, height, self.max_regions - 1)
        if got == wanted:
            return None
        there = ", ".join(f"{len(grid)} of {grid.side} px" for grid in got) or "none"
        full = ", ".join(f"{len(grid)} of {grid.side} px" for grid in wanted)
        return (
            f"max_regions={self.max_regions} thins the tiles of a photo of {width} x {height} px ({there}; "
            f"all would be {full}); "
            "raise max_regions or min_object_size where small objects are missed."
        )
