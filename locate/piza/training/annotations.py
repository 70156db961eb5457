"""Reads what to learn from: SOREC's JSON, or COCO's with each category's name as the expression."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sorce.errors import BadPhoto, GroundTruthError
from sorce.mappings import Box, conditions
from sorce.mappings.labels import Size, cut, reaches_beyond, scale_to
from sorce.pictures.limits import MAX_PIXELS
from sorce.pictures.loading import open_picture
from sorce.pictures.names import spellings

NO_AREA = "have no box with an area"
ABSENT = "have a photo that is not in the folder"
CUT = "reach beyond their photo, cut at its edge"
SCALED = "were drawn on a photo of another size, scaled"

Row = tuple[int, Any, Size | None, frozenset[str]]
"""A row's number, the row in SOREC's form, and the width, height and categories that the file states for its photo."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A text and the one box that it names, in pixels of the upright photo. `size` is the photo's width and height.

    `shown` are all categories that the label file has for the photo, also those of several boxes.
    """

    photo: Path
    text: str
    box: Box
    size: tuple[int, int]
    shown: frozenset[str] = frozenset()


class _BadRow(Exception):
    """A row that cannot be used. The message follows "rows that"."""


def read_expressions(file: Path, photos: Path, note: Callable[[str], object] = lambda _: None) -> list[Expression]:
    """The expressions of a label file whose photos are in a folder. Raises GroundTruthError if there are none.

    Of COCO's annotations, those of a category that its photo shows once: elsewhere the name says not which one. A row
    that cannot be used costs itself: for each reason `note` gets a sentence with their number and the first one's.
    So does each reason for which boxes were changed. Every photo is decoded once, since a header does not tell damage.
    """
    try:
        # Bytes: JSON's encoding and its byte order mark are found.
        said = json.loads(file.read_bytes())
        rows = list(_coco(said) if isinstance(said, Mapping) else _sorec(said))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _other_file(file, f"{type(error).__name__}: {error}") from error
    reader, found = _Reader(photos), []
    left_out: dict[str, list[int]] = {}
    for row in rows:
        try:
            found.append(reader.expression(*row))
        except _BadRow as error:
            left_out.setdefault(str(error), []).append(row[0])
    if not found:
        raise _none(file, photos, left_out)
    for reason, numbers in left_out.items():
        note(f"note: rows of '{file}' that {reason}, left out: {len(numbers):,} (first: number {numbers[0]:,}).")
    for reason, numbers in reader.changed.items():
        note(f"note: boxes of '{file}' that {reason}: {len(numbers):,} (first: number {numbers[0]:,}).")
    return found


def _none(file: Path, photos: Path, left_out: Mapping[str, Sequence[int]]) -> GroundTruthError:
    if set(left_out) == {NO_AREA}:
        return GroundTruthError(f"no box in '{file}' has an area; name a file with boxes.")
    if ABSENT in left_out or not left_out:
        rows = sum(map(len, left_out.values()))
        return GroundTruthError(f"of {rows:,} expressions in '{file}', no photo is in '{photos}'; name its folder.")
    reason, numbers = next(iter(left_out.items()))
    return _other_file(file, f"rows {reason}, such as number {numbers[0]}")


def _other_file(file: Path, why: str) -> GroundTruthError:
    return GroundTruthError(f"'{file}' cannot be read as SOREC's or COCO's JSON ({why}); name such a file.")


def split(expressions: Sequence[Expression], held_out: int) -> tuple[list[Expression], list[Expression]]:
    """Training and held-out expressions. No photo is in both: the last photos are held out."""
    names = list(dict.fromkeys(expression.photo for expression in expressions))
    kept: set[Path] = set()
    for name in reversed(names[1:]):
        if sum(expression.photo in kept for expression in expressions) >= held_out:
            break
        kept.add(name)
    training = [expression for expression in expressions if expression.photo not in kept]
    return training, [expression for expression in expressions if expression.photo in kept][:held_out]


@dataclass(frozen=True)
class _Reader:
    """Checks rows. `changed` has the numbers of those whose box was changed, by the reason."""

    photos: Path
    changed: dict[str, list[int]] = field(default_factory=dict)
    _sizes: dict[Path, tuple[int, int] | None] = field(default_factory=dict)

    def expression(self, number: int, row: Any, stated: Size | None, shown: frozenset[str]) -> Expression:
        """Raises _BadRow."""
        if not isinstance(row, Mapping):
            raise _BadRow("are not JSON objects")
        name, text = row.get("image"), row.get("ref")
        if not isinstance(name, str) or not name.strip():
            raise _BadRow("name no photo")
        if isinstance(text, bool) or not isinstance(text, str | int) or not str(text).strip():
            raise _BadRow("have no text")
        box, photo = _box(row.get("bbox")), self._photo(name)
        size = self._size(photo)
        if size is None:
            raise _BadRow("have a photo that cannot be opened")
        scale = 1.0 if stated is None else scale_to(size, stated)
        if scale is None:
            raise _BadRow("have a photo of another shape than the file says")
        x1, y1, x2, y2 = (side * scale for side in box.as_tuple())
        inside = cut((x1, y1, x2, y2), size)
        if inside is None:
            raise _BadRow("have a box outside of their photo")
        if scale != 1:
            self.changed.setdefault(SCALED, []).append(number)
        if reaches_beyond((x1, y1, x2, y2), size):
            self.changed.setdefault(CUT, []).append(number)
        return Expression(photo, str(text), inside, size, shown)

    def _photo(self, name: str) -> Path:
        for spelling in spellings(name):
            for form in conditions.spellings(spelling):
                if _is_below(form) and _is_file(self.photos / form):
                    return self.photos / form
        raise _BadRow(ABSENT)

    def _size(self, photo: Path) -> tuple[int, int] | None:
        if photo not in self._sizes:
            try:
                self._sizes[photo] = open_picture(photo).size
            except BadPhoto:
                self._sizes[photo] = None
        return self._sizes[photo]


def _box(sides: Any) -> Box:
    """Raises _BadRow."""
    numbers = sides if isinstance(sides, Sequence) and not isinstance(sides, str) else ()
    if len(numbers) != 4 or any(isinstance(each, bool) or not isinstance(each, int | float) for each in numbers):
        raise _BadRow("have no box of four numbers")
    try:
        x, y, width, height = map(float, numbers)
    except OverflowError:
        raise _BadRow(NO_AREA) from None
    if not all(map(math.isfinite, (x + width, y + height))) or x >= x + width or y >= y + height:
        raise _BadRow(NO_AREA)
    return Box(x, y, x + width, y + height)


def _stated(image: Mapping[str, Any]) -> Size | None:
    """The width and height of an image in COCO's file; None without two usable numbers."""
    width, height = (_side(image.get(name)) for name in ("width", "height"))
    return (width, height) if width and height else None


def _side(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 1 <= value <= MAX_PIXELS else None


def _is_below(name: str) -> bool:
    """Whether a photo's name stays in the folder: a label file does not decide which other files are opened."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        # A name that no file can have.
        return False


def _sorec(rows: Sequence[Any]) -> Iterator[Row]:
    """Each row. The file states no sizes."""
    if not isinstance(rows, list):
        raise TypeError("no list")
    return ((number, row, None, frozenset()) for number, row in enumerate(rows, 1))


def _coco(said: Mapping[str, Any]) -> Iterator[Row]:
    """Each annotation in SOREC's form."""
    images = {str(image.get("id")): image for image in said["images"] if isinstance(image, Mapping)}
    categories = {str(each.get("id")): each.get("name") for each in said["categories"] if isinstance(each, Mapping)}
    rows = [row if isinstance(row, Mapping) else {} for row in said["annotations"]]
    keys = [(str(row.get("image_id")), str(row.get("category_id"))) for row in rows]
    times, shown_in = Counter(keys), defaultdict[str, set[str]](set)
    for image, category in times:
        shown_in[image].add(str(categories.get(category)))
    for number, (row, (image, category)) in enumerate(zip(rows, keys, strict=True), 1):
        if not row or (times[image, category] == 1 and row.get("iscrowd") not in (1, "1")):
            shown = images.get(image, {})
            told = {"image": shown.get("file_name"), "ref": categories.get(category), "bbox": row.get("bbox")}
            yield number, told, _stated(shown), frozenset(shown_in[image])
