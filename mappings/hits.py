"""The value objects of what a search found: hits with their regions, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

from sorce.errors import BadPhoto
from sorce.mappings.located import Seen
from sorce.mappings.values import Box, Kind

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Match:
    """A region that a search found. `similarity` is the cosine between its vector and the phrase's, -1..1.

    `box` is in pixels of the upright photo, and `area` is its share of the photo, 0..1. `quality` says how well it fits
    an object, 0..1; it is 1 if the regions method does not know.
    """

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
    """Opens and shows the photo of a hit. This room opens no files, so the caller of a search passes an opener."""

    def picture(self, hit: Hit, root: str | Path | None) -> Image: ...

    def html(self, hit: Hit) -> str: ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that a search found, and where.

    `matches` has a list for each phrase, then for each example: its best regions, best first, at least one. Photos are
    ranked by `score`. For one phrase it is the similarity. For several it is the sum of their similarities minus half
    the similarity to each "not". The search may use another ranking (`sorce.mappings.ranking`). `unproved` is set only
    for a ranking by product: a photo that was not among the candidates might belong before this one. `duplicates` are
    near-duplicates that rank behind it, best first, if the search folds them.

    With a second stage, `index_rank` is the rank by `score`, counted from 1. `seen` is what the localiser saw; it is
    None for a photo that the localiser did not look at. The boxes of `matches` always come from the index.
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
        """The best region's cosine with the first phrase or example, -1..1."""
        return self.best.similarity

    @property
    def quality(self) -> float:
        """How well the best region's box fits an object, 0..1; 1 if the regions method does not know."""
        return self.best.quality

    def picture(self, root: str | Path | None = None) -> Image:
        """The photo as a person sees it: RGB, upright. It is opened on this machine, in a separate process.

        `root` is the folder that relative paths start from, and no file outside it is opened; by default it is the
        search's own. What the index says of its root never counts. Only for hits of `Index.search`. Raises BadPhoto,
        and SorceError for a root that is no folder.
        """
        return self._opener().picture(self, root)

    def _repr_html_(self) -> str:
        """The photo with its boxes, for a notebook."""
        return self._opener().html(self)

    def _opener(self) -> Opener:
        if self.opener is None:
            raise BadPhoto("this hit cannot open its photo; search with an index from `sorce.open_index`.")
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
