"""Reads what to learn from: SOREC's JSON, or COCO's with each category's name as the expression."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorce.errors import GroundTruthError
from sorce.mappings import Box


@dataclass(frozen=True, slots=True)
class Expression:
    """A text and the one box that it names, in pixels of the upright photo."""

    photo: Path
    text: str
    box: Box


def read_expressions(file: Path, photos: Path, note: Callable[[str], object] = lambda _: None) -> list[Expression]:
    """The expressions of a label file whose photos are in a folder. Raises GroundTruthError if there are none.

    Of COCO's annotations, those of a category that its photo shows once: elsewhere the name says not which one. Boxes
    without area, of which COCO has some, are left out, and `note` gets a sentence about them.
    """
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        rows = list(_coco(said) if isinstance(said, Mapping) else _sorec(said))
        there = [
            (photos / name, text, _box(sides))
            for name, text, sides in rows
            if _is_below(name) and (photos / name).is_file()
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise GroundTruthError(
            f"'{file}' cannot be read as SOREC's or COCO's JSON ({type(error).__name__}: {error}); name such a file."
        ) from error
    found = [Expression(photo, text, box) for photo, text, box in there if box is not None]
    if there and not found:
        raise GroundTruthError(f"no box in '{file}' has an area; name a file with boxes.")
    if len(there) > len(found):
        note(f"note: {len(there) - len(found)} boxes in '{file}' have no area, and are left out.")
    if not found:
        raise GroundTruthError(f"of {len(rows)} expressions in '{file}', no photo is in '{photos}'; name its folder.")
    return found


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


def _box(sides: Sequence[float]) -> Box | None:
    """None for a box without area. Raises ValueError for another number of sides, and TypeError for texts."""
    x, y, width, height = sides
    if any(isinstance(side, str) for side in (x, y, width, height)):
        raise TypeError(f"bbox {list(sides)!r} holds texts")
    return Box(x, y, x + width, y + height) if x < x + width and y < y + height else None


def _is_below(name: str) -> bool:
    """Whether a photo's name stays in the folder: a label file does not decide which other files are opened."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _sorec(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, Sequence[float]]]:
    for row in rows:
        yield str(row["image"]), str(row["ref"]), row["bbox"]


def _coco(said: Mapping[str, Any]) -> Iterator[tuple[str, str, Sequence[float]]]:
    names = {image["id"]: image["file_name"] for image in said["images"]}
    categories = {category["id"]: category["name"] for category in said["categories"]}
    times = Counter((row["image_id"], row["category_id"]) for row in said["annotations"])
    for row in said["annotations"]:
        if times[row["image_id"], row["category_id"]] == 1 and not row.get("iscrowd"):
            yield names[row["image_id"]], categories[row["category_id"]], row["bbox"]
