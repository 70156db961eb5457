"""The value objects that the rooms exchange."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from sorce.errors import BadPhoto

if TYPE_CHECKING:
    from PIL.Image import Image

    from sorce.mappings.located import Seen

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
class Match:
    """A region that a search found. `similarity` is the cosine between its vector and the phrase's, -1..1."""

    region_id: int
    box: Box
    kind: Kind
    area: float
    quality: float
    similarity: float

    def as_dict(self, width: int, height: int) -> dict[str, Any]:
        """As JSON. `box` is in pixels of the photo of this size, and `relative_box` in shares of its sides, 0..1."""
        return {
            "region_id": self.region_id,
            "box": list(self.box.as_tuple()),
            "relative_box": list(self.box.relative_to(width, height)),
            "kind": self.kind,
            "area": self.area,
            "quality": self.quality,
            "similarity": self.similarity,
        }


class Opener(Protocol):
    """Opens and shows the photo of a hit. The rooms below do not open files, so a search's caller gives one."""

    def picture(self, hit: Hit, root: Path | None) -> Image: ...

    def html(self, hit: Hit) -> str: ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that a search found, and where.

    `matches` holds for each phrase, then for each example, its best regions, best first and at least one. `score` is
    what ranked the photo. For one phrase it is the similarity. For several it is the sum of their similarities minus
    half the similarity to each "not". The search may use another ranking (`sorce.mappings.ranking`). `unproved` is set
    only for ranking by product: a photo that was no candidate might belong before this one. `duplicates` are
    near-duplicates that rank behind it, best first, if the search folds them.

    With a second stage, `index_rank` is the rank by `score`, from 1, and `seen` is what a localiser saw; it is None for
    a photo that was not looked at again. The boxes of `matches` stay the index's.
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
    duplicates: tuple[Hit, ...] = ()
    index_rank: int | None = None
    seen: Seen | None = None
    opener: Opener | None = field(default=None, compare=False, repr=False)

    @property
    def best(self) -> Match:
        """The best region of the first phrase."""
        return self.matches[0][0]

    @property
    def box(self) -> Box:
        """The best region's box, in pixels of the upright photo."""
        return self.best.box

    @property
    def relative_box(self) -> tuple[float, float, float, float]:
        """The best region's box as shares of the photo's width and height, 0..1."""
        return self.box.relative_to(self.width, self.height)

    @property
    def similarity(self) -> float:
        return self.best.similarity

    @property
    def quality(self) -> float:
        return self.best.quality

    def picture(self, root: Path | None = None) -> Image:
        """The photo as a person sees it: RGB, upright. It is opened on this machine, in a separate process.

        `root` is the folder that relative paths start from, else that of the index; no file outside it is opened. Only
        for hits of `Index.search`. Raises BadPhoto.
        """
        return self._opener().picture(self, root)

    def _repr_html_(self) -> str:
        """The photo with its boxes, for a notebook."""
        return self._opener().html(self)

    def _opener(self) -> Opener:
        if self.opener is None:
            raise BadPhoto("this hit does not say how its photo is opened; search with an index of sorce.open_index.")
        return self.opener

    def as_dict(self) -> dict[str, Any]:
        """As JSON: the fields of the hit, with `matches` as lists of dictionaries (`Match.as_dict`)."""
        return {
            "score": self.score,
            "unproved": self.unproved,
            "photo_id": self.photo_id,
            "uri": self.uri,
            "file_name": self.file_name,
            "folder": self.folder,
            "width": self.width,
            "height": self.height,
            "matches": [[match.as_dict(self.width, self.height) for match in matches] for matches in self.matches],
            "duplicates": [each.as_dict() for each in self.duplicates],
            "index_rank": self.index_rank,
            "seen": None if self.seen is None else self.seen.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A photo that a search found but cannot show, because its document is malformed."""

    photo_id: str
    reason: str

    def __str__(self) -> str:
        return f"photo '{self.photo_id}' is left out: {self.reason}."


@dataclass(frozen=True)
class Hits(Sequence[Hit]):
    """What a search found, best first.

    `left_out` names photos with malformed documents. `incomplete` says why photos may be missing, if the search
    accepted a partial answer (`allow_partial`); else it is None. `notes` are sentences for the user, such as why
    nothing was found.
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

    def _repr_html_(self) -> str:
        """The photos with their boxes, for a notebook."""
        return "".join(hit._repr_html_() for hit in self.found) or "nothing found."

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.found)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that could not become a document, with the reason."""

    path: str
    reason: str
