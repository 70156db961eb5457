"""The regions method `tiles`: overlapping squares on several scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from sorce.mappings import Box, Picture, Region
from sorce.models.crops import CropModel, Crops
from sorce.models.distinct_crops import distinct_crops
from sorce.models.encoder import Encoder
from sorce.models.near_duplicates import most_distinct, rarity
from sorce.models.tiling import TileSettings, all_grids, fit, plan, smallest_found

MIN_ENCODED = 32
"""So many crops of a photo are always encoded: in a small photo a part would be too few."""


class Tiles(CropModel):
    """The whole photo, and tiles in which an object of the smallest size is still visible."""

    def __init__(self, encoder: Encoder, settings: TileSettings | None = None) -> None:
        super().__init__(encoder)
        self.settings = settings or TileSettings()
        parameters = asdict(self.settings)
        if self.settings.encoded_share == 1:
            # Older indices do not have it, and their vectors are the same.
            del parameters["encoded_share"]
        self.recipe = encoder.recipe("tiles", parameters)

    def prepare(self, picture: Picture) -> Crops:
        photo = picture.image
        settings, whole = self.settings, Box(0, 0, photo.width, photo.height)
        crops = Crops([whole], [self.encoder.view(photo, whole)])
        for sheet in plan(
            photo.width, photo.height, settings.min_object_size, settings.max_regions, self.encoder.input_size
        ):
            scaled, far = self.encoder.scaled(photo, sheet.width, sheet.height), sheet.window
            crops.boxes.extend(sheet.boxes(photo.width, photo.height))
            crops.views.extend(scaled[top : top + far, left : left + far] for left, top in sheet.corners())
        return self._chosen(crops)

    def _chosen(self, crops: Crops) -> Crops:
        if self.settings.encoded_share == 1:
            return crops
        most = max(MIN_ENCODED, math.ceil(self.settings.encoded_share * len(crops.boxes)))
        places = distinct_crops(crops.views, most)
        return Crops([crops.boxes[place] for place in places], [crops.views[place] for place in places])

    def encode(self, prepared: Sequence[Crops]) -> list[list[Region]]:
        return [self._distinct(regions) for regions in super().encode(prepared)]

    def _distinct(self, regions: list[Region]) -> list[Region]:
        vectors = np.stack([region.vec for region in regions])
        return [regions[place] for place in most_distinct(vectors, self.settings.max_stored, rarity(vectors))]

    def note(self, width: int, height: int) -> str | None:
        """A sentence about the smallest object that `max_regions` allows to find in a photo of this size.

        None if it is no larger than with all tiles.
        """
        input_size, settings = self.encoder.input_size, self.settings
        wanted = all_grids(width, height, settings.min_object_size, input_size)
        got = fit(wanted, width, height, settings.max_regions - 1)
        best, found = (smallest_found(grids, width, height, input_size) for grids in (wanted, got))
        if found == best:
            return None
        return (
            f"with --max-regions {settings.max_regions}, the smallest object that can be found in a photo of "
            f"{width} x {height} px is about {found} px a side, instead of {best} px; "
            f"raise --max-regions to find smaller objects ({1 + sum(map(len, wanted))} allows all tiles)."
        )
