"""The value objects of what is stored: boxes, pictures, regions and photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Vector = NDArray[np.float32]
Kind = Literal["whole", "tile", "prompt", "cluster", "object"]
Attribute = str | int | float | datetime
"""A user attribute's value (`--set key=value`)."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the upright photo: x1 <= x < x2, y1 <= y < y2."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        # Written so that NaN fails, too.
        if not (self.x1 < self.x2 and self.y1 < self.y2):
            raise ValueError(f"box has no area: {self}")

    @property
    def area(self) -> float:
        """In square pixels."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def share_of(self, width: int, height: int) -> float:
        """Area as a share of the photo's area, 0..1."""
        return self.area / (width * height)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0..1."""
        across = min(self.x2, other.x2) - max(self.x1, other.x1)
        down = min(self.y2, other.y2) - max(self.y1, other.y1)
        if across <= 0 or down <= 0:
            return 0.0
        return across * down / (self.area + other.area - across * down)

    def as_tuple(self) -> tuple[float, float, float, float]:
        """The sides x1, y1, x2, y2."""
        return (self.x1, self.y1, self.x2, self.y2)

    def relative_to(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The sides as shares of a photo's width and height, 0..1: for a copy of the photo at any size."""
        return (self.x1 / width, self.y1 / height, self.x2 / width, self.y2 / height)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded photo: its pixels as a person sees them, and its EXIF data.

    `image` is RGB with the EXIF rotation applied. `name` is the photo's path or URI; it is the key for boxes read from
    a file. `taken_at` is local time: with a time zone if the camera wrote one, else without. `keywords` are those of
    IPTC and XMP, and `location` is GPS's latitude and longitude in degrees.
    """

    image: Image
    name: str = ""
    taken_at: datetime | None = None
    camera: str | None = None
    keywords: tuple[str, ...] = ()
    location: tuple[float, float] | None = None

    @property
    def width(self) -> int:
        """In pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """In pixels."""
        return self.image.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A box of a photo with its vector: the nested child.

    `vec` is float32 of shape (dimension,) and of unit length. `quality` says how well the box fits an object, 0..1 (1
    if the method has no such number). `coherence` is how similar the patches of a cluster are, 0..1. `hubness` is how
    near the region is to any text, -1..1 (`sorce.models.querybank`).
    """

    box: Box
    vec: Vector
    kind: Kind
    quality: float = 1.0
    coherence: float | None = None
    hubness: float | None = None


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """What is known of a photo without decoding it: identity, place and bytes.

    `modified_at` is when its file was last changed, and `etag` is an object store's tag for this content, if known.
    """

    photo_id: str
    uri: str
    file_name: str
    folder: str
    content_hash: str
    bytes: int
    modified_at: datetime | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo as stored, without its regions. Width and height are those of the upright photo, in pixels.

    `location` is latitude and longitude in degrees. `thumbnail` is a small picture of it (WebP), if one is stored.
    """

    file: PhotoFile
    width: int
    height: int
    taken_at: datetime | None = None
    camera: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    location: tuple[float, float] | None = None
    thumbnail: bytes | None = None

    @property
    def taken_on(self) -> date | None:
        """The day it was taken, by local time."""
        return None if self.taken_at is None else self.taken_at.date()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that could not become a document, with the reason."""

    path: str
    reason: str
