"""The regions method `whole`: one vector for the photo."""

from __future__ import annotations

from sorce.mappings import Box, Picture
from sorce.models.crops import CropModel, Crops
from sorce.models.encoder import Encoder


class Whole(CropModel):
    """Embeds the photo without regions. Small objects are lost in this vector."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.recipe = encoder.recipe("whole", {})

    def prepare(self, picture: Picture) -> Crops:
        whole = Box(0, 0, picture.width, picture.height)
        return Crops([whole], [self.encoder.view(picture.image, whole)])
