"""Examples: what a photo may, or may not, resemble, in place of a text or besides one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sorce.errors import QueryError
from sorce.mappings.limits import MAX_REGION_ID
from sorce.mappings.values import Box, Vector

if TYPE_CHECKING:
    from PIL.Image import Image

LEAST_PREFIX = 8
"""A photo id may be shortened to this many characters."""

ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""EXIF's tag, and those of its values that exchange width and height."""


@dataclass(frozen=True, slots=True, eq=False)
class LikePicture:
    """A picture, or a box of it. The index's model encodes it, as an ingest would encode a file of it.

    So it is turned by its EXIF orientation, transparent parts become white, and grey of more than 8 bits is scaled. The
    box is in pixels of the turned picture, as the boxes of hits are. `name` is what messages and tables call it. Raises
    QueryError if the picture has no pixels, or the box is not inside it.
    """

    image: Image = field(repr=False)
    box: Box | None = None
    name: str = "picture"

    def __post_init__(self) -> None:
        box, (width, height) = self.box, _upright_size(self.image)
        if not width * height:
            raise QueryError(f"a picture of {width} x {height} pixels cannot be searched for; give one with pixels.")
        if box is not None and not (box.x1 >= 0 and box.y1 >= 0 and box.x2 <= width and box.y2 <= height):
            raise QueryError(
                f"box {_sides(box)} is not inside the picture of {width} x {height} pixels; choose one that is."
            )

    @property
    def label(self) -> str:
        """What tables and messages call it."""
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
        """What tables and messages call it."""
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
        """What tables and messages call it."""
        return f"vector of {len(self.vector)} numbers"


Example = LikePicture | LikeRegion | LikeVector


def refuse_unless_examples(name: str, values: Any) -> None:
    """Raises QueryError for a value that is no example."""
    for value in values:
        if not isinstance(value, LikePicture | LikeRegion | LikeVector):
            raise QueryError(f"{name} holds a {type(value).__name__}; give LikePicture, LikeRegion or LikeVector.")


def _upright_size(image: Image) -> tuple[int, int]:
    """Width and height after the turn that EXIF asks for. Damage is reported when the picture is encoded."""
    try:
        turned = image.getexif().get(ORIENTATION) in SIDEWAYS
    except Exception:
        turned = False
    return (image.height, image.width) if turned else image.size


def _sides(box: Box) -> str:
    return ",".join(f"{side:g}" for side in box.as_tuple())
