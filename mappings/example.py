"""Examples: what a photo may, or may not, resemble, in place of a text or besides one."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np

from sorce.errors import QueryError
from sorce.mappings.limits import MAX_REGION_ID
from sorce.mappings.values import Box, Vector

if TYPE_CHECKING:
    from PIL.Image import Image

LEAST_PREFIX = 8
"""A photo id may be shortened to this many characters."""


@dataclass(frozen=True, slots=True, eq=False)
class LikePicture:
    """A picture, or a box of it in pixels. The index's model encodes it; a picture of any mode is converted to RGB.

    `name` is what messages and tables call it. Raises QueryError if the box is not inside the picture.
    """

    image: Image = field(repr=False)
    box: Box | None = None
    name: str = "picture"

    def __post_init__(self) -> None:
        box, (width, height) = self.box, self.image.size
        if box is not None and not (box.x1 >= 0 and box.y1 >= 0 and box.x2 <= width and box.y2 <= height):
            raise QueryError(
                f"box {_sides(box)} is not inside the picture of {width} x {height} pixels; choose one that is."
            )

    @property
    def cut(self) -> Image:
        """The part inside the box, of whole pixels, in RGB: nothing outside it counts."""
        if self.box is None:
            return self.image.convert("RGB")
        x1, y1, x2, y2 = self.box.as_tuple()
        return self.image.crop((floor(x1), floor(y1), ceil(x2), ceil(y2))).convert("RGB")

    @property
    def label(self) -> str:
        return self.name if self.box is None else f"{self.name} {_sides(self.box)}"


@dataclass(frozen=True, slots=True)
class LikeRegion:
    """A region of the index, by its photo's id and its own number; 0 is the whole photo.

    The first 8 or more digits of a photo id are enough, if no other photo has the same.
    """

    photo_id: str
    region_id: int = 0

    def __post_init__(self) -> None:
        """Raises QueryError."""
        if not isinstance(self.photo_id, str) or len(self.photo_id) < LEAST_PREFIX:
            raise QueryError(f"photo id {self.photo_id!r} is too short; give at least {LEAST_PREFIX} characters.")
        number = self.region_id
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_REGION_ID:
            raise QueryError(f"region {number!r} is not the number of a region; give 0 to {MAX_REGION_ID}.")

    @classmethod
    def parse(cls, text: str) -> LikeRegion:
        """Reads `PHOTO/REGION`, as a table of hits prints it. Raises QueryError."""
        photo, slash, region = text.rpartition("/")
        if not slash or not (region.isascii() and region.isdigit()):
            raise QueryError(f"region {text!r} is not understood; write PHOTO/REGION, such as 1a2b3c4d/7.")
        return cls(photo, int(region))

    @property
    def label(self) -> str:
        return f"region {self.photo_id}/{self.region_id}"


@dataclass(frozen=True, slots=True, eq=False)
class LikeVector:
    """A vector of the index's space: numbers of shape (dimension,), not all 0. Raises QueryError."""

    vector: Vector = field(repr=False)

    def __post_init__(self) -> None:
        try:
            vector = np.asarray(self.vector, np.float64)
        except (TypeError, ValueError) as error:
            raise QueryError("a vector holds something that is not a number; give numbers.") from error
        length = float(np.linalg.norm(vector)) if vector.ndim == 1 and vector.size else 0.0
        if not (np.isfinite(length) and length > 0):
            raise QueryError(
                f"a vector of shape {vector.shape} cannot be searched for; give finite numbers in one row, not all 0."
            )
        object.__setattr__(self, "vector", (vector / length).astype(np.float32))

    @property
    def label(self) -> str:
        return f"vector of {len(self.vector)} numbers"


Example = LikePicture | LikeRegion | LikeVector


def refuse_unless_examples(name: str, values: Any) -> None:
    """Raises QueryError for a value that is no example."""
    for value in values:
        if not isinstance(value, LikePicture | LikeRegion | LikeVector):
            raise QueryError(f"{name} holds a {type(value).__name__}; give LikePicture, LikeRegion or LikeVector.")


def _sides(box: Box) -> str:
    return ",".join(f"{side:g}" for side in box.as_tuple())
