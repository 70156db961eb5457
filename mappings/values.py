"""The value objects that travel between rooms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, overload

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
        # Written so that a NaN fails too.
        if not (self.x1 < self.x2 and self.y1 < self.y2):
            raise ValueError(f"box has no area: {self}")

    @property
    def area(self) -> float:
        """In square pixels."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def share_of(self, width: int, height: int) -> float:
        """Area as a share of the photo's, 0..1."""
        return self.area / (width * height)

    def iou(self, other: Box) -> float:
        """Intersection over union, 0..1."""
        across = min(self.x2, other.x2) - max(self.x1, other.x1)
        down = min(self.y2, other.y2) - max(self.y1, other.y1)
        if across <= 0 or down <= 0:
            return 0.0
        return across * down / (self.area + other.area - across * down)

    def as_tuple(self) -> tuple[float, float, float, float]:
        return (self.x1, self.y1, self.x2, self.y2)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded photo: its pixels as a person sees them, and what its EXIF says.

    `image` is RGB with EXIF's turn applied. `name` is the photo's path or URI; boxes that come from a file are found by
    it. `taken_at` is local time: with a time zone where the camera wrote one, else without.
    """

    image: Image
    name: str = ""
    taken_at: datetime | None = None
    camera: str | None = None

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
    where the method has no such number); `coherence` how alike the patches of a cluster are, 0..1; `hubness` how near
    it is to any text at all, -1..1 (`sorce.models.querybank`).
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

    `modified_at` is when its file was last changed, and `etag` what an object store calls this content, if known.
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
    """A photo as it is stored, its regions aside. Width and height are those of the upright photo, in pixels."""

    file: PhotoFile
    width: int
    height: int
    taken_at: datetime | None = None
    camera: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def taken_on(self) -> date | None:
        """The day it was taken, by the clock of the place where it was taken."""
        return None if self.taken_at is None else self.taken_at.date()


@dataclass(frozen=True, slots=True)
class Match:
    """A region that a search found. `similarity` is the cosine of its vector with the phrase's, -1..1."""

    region_id: int
    box: Box
    kind: Kind
    area: float
    quality: float
    similarity: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that a search found, and where.

    `matches` holds for each phrase its best regions, best first and at least one. `score` is what ranked the photo: the
    similarity for one phrase; for several, the sum of their similarities less half the similarity to each "not"; or
    what else the search was told to rank by (`sorce.mappings.ranking`). `unproved`, by product alone: a photo that was
    no candidate might belong before this one.
    """

    photo_id: str
    uri: str
    file_name: str
    folder: str
    width: int
    height: int
    score: float
    matches: tuple[tuple[Match, ...], ...]
    unproved: bool = field(default=False, compare=False)

    @property
    def best(self) -> Match:
        """The best region of the first phrase."""
        return self.matches[0][0]

    @property
    def box(self) -> Box:
        return self.best.box

    @property
    def similarity(self) -> float:
        return self.best.similarity

    @property
    def quality(self) -> float:
        return self.best.quality


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A photo that a search found and cannot show, since its document is malformed."""

    photo_id: str
    reason: str

    def __str__(self) -> str:
        return f"photo '{self.photo_id}' is left out: {self.reason}."


@dataclass(frozen=True)
class Hits(Sequence[Hit]):
    """What a search found, best first.

    `left_out` names photos whose documents are malformed. `incomplete` says why photos may be missing, where the search
    took a partial answer (`allow_partial`); else it is None. `notes` are sentences for a person, such as why nothing
    was found.
    """

    found: tuple[Hit, ...]
    left_out: tuple[LeftOut, ...] = ()
    incomplete: str | None = None
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Hit]: ...

    def __getitem__(self, place: int | slice) -> Hit | Sequence[Hit]:
        return self.found[place]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.found)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that could not become a document, with the reason."""

    path: str
    reason: str
