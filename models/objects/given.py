"""Boxes from a file of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sorce.errors import BadPhoto, ModelError
from sorce.mappings import Picture, Vector
from sorce.models.objects.proposals import Proposals, Proposer
from sorce.models.objects.settings import GIVEN, ProposalLimits
from sorce.pictures.names import composed, spellings

SUFFIX = ".jsonl"
SHAPE = '{"image": "a.jpg", "boxes": [[x1, y1, x2, y2], ...], "quality": [0.9, ...]}'


@dataclass(frozen=True, slots=True, eq=False)
class BoxLine:
    """A photo's boxes, float64 (n, 4), and their quality, (n,), in the file's order."""

    boxes: np.ndarray[Any, np.dtype[np.float64]]
    quality: np.ndarray[Any, np.dtype[np.float64]]


class GivenBoxes(Proposer[Proposals]):
    """The given boxes of each photo, best first. Boxes without a quality get 1 and keep their order.

    A line names its photo by the last parts of its path: "a.jpg" or "2024/a.jpg".
    """

    name = GIVEN
    backend = None

    def __init__(self, file: Path, limits: ProposalLimits) -> None:
        """Raises ModelError if the file cannot be read or a line has the wrong form."""
        self._file, self._limits = file, limits
        self._lines: Mapping[str, BoxLine] = dict(_read(file))

    def prepare(self, picture: Picture) -> Proposals:
        name = picture.name
        if not name:
            raise BadPhoto(f"has no name, so its boxes cannot be found in '{self._file.name}'; give it a name")
        line = self._line(name)
        self._refuse_outside(line, picture)
        order = np.argsort(-line.quality, kind="stable")
        order = order[line.quality[order] >= self._limits.least]
        if len(order) > self._limits.most:
            raise BadPhoto(
                f"photo '{name}' has {len(order)} boxes in '{self._file.name}', and at most {self._limits.most} are "
                "taken; raise the most, or leave out the worst."
            )
        return Proposals(line.boxes[order].astype(np.float32), line.quality[order].astype(np.float32))

    def proposals(self, prepared: Proposals) -> Proposals:
        return prepared

    def _line(self, name: str) -> BoxLine:
        for spelling in spellings(composed(name)):
            parts = PurePosixPath(spelling).parts
            for start in range(len(parts)):
                line = self._lines.get("/".join(parts[start:]).replace("//", "/"))
                if line is not None:
                    return line
        raise BadPhoto(
            f"photo '{name}' is not in '{self._file.name}'; add a line for it, with an empty list if it has no boxes."
        )

    def _refuse_outside(self, line: BoxLine, picture: Picture) -> None:
        # In float32, as stored: two different numbers of the file may then be equal.
        with np.errstate(over="ignore"):
            stored = line.boxes.astype(np.float32)
        for number, (x1, y1, x2, y2) in enumerate(stored, 1):
            shown = f"box {number} of photo '{picture.name}' in '{self._file.name}', {line.boxes[number - 1].tolist()},"
            if not (x1 < x2 and y1 < y2):
                raise BadPhoto(f"{shown} has no area; give x1, y1, x2, y2 in pixels, with x1 < x2 and y1 < y2.")
            if not (x1 >= 0 and y1 >= 0 and x2 <= picture.width and y2 <= picture.height):
                raise BadPhoto(
                    f"{shown} is not inside its {picture.width} x {picture.height} pixels; "
                    "give boxes in pixels of the upright photo."
                )


def _read(file: Path) -> Iterator[tuple[str, BoxLine]]:
    seen: set[str] = set()
    try:
        with file.open(encoding="utf-8-sig") as stream:
            for number, text in enumerate(stream, 1):
                if text.strip():
                    name, line = _parse(text, f"line {number} of '{file}'")
                    if name in seen:
                        raise ModelError(
                            f"line {number} of '{file}' names photo '{name}' a second time; write all in one line."
                        )
                    seen.add(name)
                    yield name, line
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"the file of boxes '{file}' cannot be read ({error}); name one of JSON lines.") from error


def _parse(text: str, place: str) -> tuple[str, BoxLine]:
    try:
        said = json.loads(text)
        name = composed(str(PurePosixPath(said["image"].replace("\\", "/"))))
        boxes = np.array(said["boxes"], np.float64).reshape(-1, 4)
        quality = np.array(said.get("quality", [1.0] * len(boxes)), np.float64).reshape(-1)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{place} is not of the form {SHAPE}; correct it.") from error
    rows = len(said["boxes"])
    if not (rows == len(boxes) == len(quality) and np.isfinite(boxes).all() and _is_share(quality)):
        raise ModelError(
            f"{place} needs four numbers for each box, and no qualities or one from 0 to 1 for each; correct it."
        )
    return name, BoxLine(boxes, quality)


def _is_share(quality: Vector | np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    return bool(((quality >= 0) & (quality <= 1)).all())
