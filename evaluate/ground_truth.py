"""The content of a benchmark: its pictures, its queries, and for each query the relevant pictures and boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sorce.errors import GroundTruthError
from sorce.mappings import Box
from sorce.pictures.source import Source

MAX_EXAMPLE = 300
"""The greatest number of characters of an example that are shown."""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture of the benchmark. `size` is width and height of the upright picture, None where it cannot be read."""

    name: str
    source: Source
    size: tuple[int, int] | None

    @property
    def photo_id(self) -> str:
        return self.source.photo_id


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """A text, and by photo_id the relevant pictures, each with the boxes of the object asked for.

    An empty list of boxes means that the ground truth does not say where the object is.
    """

    text: str
    answers: Mapping[str, tuple[Box, ...]]

    @property
    def located(self) -> list[str]:
        """The relevant pictures for which the ground truth has boxes."""
        return [photo_id for photo_id, boxes in self.answers.items() if boxes]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """`pictures` by photo_id; `remarks` are sentences about what was left out or corrected, with counts."""

    pictures: Mapping[str, LabelledPicture]
    queries: tuple[LabelledQuery, ...]
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, pictures: Iterable[LabelledPicture], queries: Iterable[LabelledQuery], remarks: Remarks) -> GroundTruth:
        """Raises GroundTruthError where there are no queries."""
        asked = tuple(queries)
        if not asked:
            why = "; ".join(remark.removesuffix(".") for remark in remarks.sentences())
            raise GroundTruthError(f"this benchmark has no queries{f': {why}' if why else ''}.")
        return cls({picture.photo_id: picture for picture in pictures}, asked, remarks.sentences())

    def share(self, query: LabelledQuery, photo_id: str) -> float | None:
        """The area of the largest object asked for, as a share of the picture's area; None where it is not known."""
        size, boxes = self.pictures[photo_id].size, query.answers[photo_id]
        return max(box.share_of(*size) for box in boxes) if size and boxes else None


class Remarks:
    """Counts what a reader left out or corrected, so that nothing is dropped silently."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, what: str, example: str) -> None:
        """Counts one case of `what`. The first example is shown, with its control characters escaped."""
        self._counts[what] = self._counts.get(what, 0) + 1
        self._first.setdefault(what, _printable(example))

    def sentences(self) -> tuple[str, ...]:
        return tuple(f"{what}: {count:,} (first: {self._first[what]})." for what, count in self._counts.items())


def _printable(text: str) -> str:
    """One line that any terminal can show: names in label files may contain control characters, or be very long."""
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text[:MAX_EXAMPLE]
    )
    return f"{shown}..." if len(text) > MAX_EXAMPLE else shown
