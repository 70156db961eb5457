"""The regions method `tiles`: overlapping squares on several scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL.Image import Image

from sorce.errors import ModelError
from sorce.mappings import Box, Region
from sorce.models.crops import CropModel, Crops
from sorce.models.distinct import most_distinct
from sorce.models.encoder import Encoder
from sorce.models.plan import KEPT, MOST, SMALLEST, all_grids, fit, plan


class Tiles(CropModel):
    """The whole photo, and tiles in which an object of the smallest size still shows."""

    def __init__(self, encoder: Encoder, smallest: float = SMALLEST, most: int = MOST, kept: int = KEPT) -> None:
        """`smallest` is the side of the smallest object to find, as a share of the photo's longer side; `most` the most
        regions of a photo that are encoded, the whole photo included; `kept` how many of these are stored: those that
        nearly repeat others are left out. Raises ModelError where one of them makes no sense."""
        super().__init__(encoder)
        if not 0 < smallest <= 1:
            raise ModelError(
                f"smallest={smallest} is no share of a photo's side; choose one in (0, 1], such as {SMALLEST}."
            )
        for name, value, usual in (("most", most, MOST), ("kept", kept, KEPT)):
            if value < 1:
                raise ModelError(
                    f"{name}={value} leaves no room for the photo itself; choose 1 or more, such as {usual}."
                )
        self.smallest = smallest
        self.most = most
        self.kept = kept
        self.recipe = encoder.recipe("tiles", {"smallest": smallest, "most": most, "kept": kept})

    def prepare(self, photo: Image) -> Crops:
        whole = Box(0, 0, photo.width, photo.height)
        crops = Crops([whole], [self.encoder.view(photo, whole)])
        for sheet in plan(photo.width, photo.height, self.smallest, self.most, self.encoder.input_size):
            scaled, far = self.encoder.scaled(photo, sheet.width, sheet.height), sheet.window
            crops.boxes.extend(sheet.boxes(photo.width, photo.height))
            crops.views.extend(scaled[top : top + far, left : left + far] for left, top in sheet.corners())
        return crops

    def encode(self, prepared: Sequence[Crops]) -> list[list[Region]]:
        return [self._distinct(regions) for regions in super().encode(prepared)]

    def _distinct(self, regions: list[Region]) -> list[Region]:
        return [regions[place] for place in most_distinct(np.stack([region.vec for region in regions]), self.kept)]

    def note(self, width: int, height: int) -> str | None:
        """What `most` costs photos of this size, as a sentence; None where it costs nothing."""
        wanted = all_grids(width, height, self.smallest, self.encoder.input_size)
        got = fit(wanted, width, height, self.most - 1)
        if got == wanted:
            return None
        kept = ", ".join(f"{len(grid)} of {grid.side} px" for grid in got) or "none"
        full = ", ".join(f"{len(grid)} of {grid.side} px" for grid in wanted)
        return (
            f"most={self.most} thins the tiles of a photo of {width} x {height} px ({kept}; all would be {full}); "
            "raise most or smallest where small objects are missed."
        )
