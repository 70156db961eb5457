"""What readers share: the file of the truth, the pictures by their names in it, and boxes that are checked."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from sorce.errors import BadPhoto, GroundTruthError
from sorce.evaluate.ground_truth import LabelledPicture, LabelledQuery, Remarks
from sorce.ingest import Files, Source
from sorce.mappings import Box
from sorce.pictures.exif import orientation
from sorce.pictures.loading import opened

MISSING = "pictures that are not in the folder, left out"
SAME_NAME = "names that several pictures have, left out"
UNNAMED = "pictures in the folder that the truth does not name, left out"
EMPTY_BOX = "boxes without an area, left out"
OUTSIDE = "boxes outside of their picture, left out"
CUT = "boxes that reach beyond their picture, cut at its edge"
OTHER_SIZE = "pictures of another size than the truth says, their boxes scaled"
OTHER_SHAPE = "pictures of another shape than the truth says, their boxes left out"
UNREADABLE = "pictures that cannot be opened, which therefore are not found"
ABSENT = "classes that no picture here shows, not asked for"

BEYOND = 1.0
"""So many pixels beyond the edge are rounding, and cut without a word."""


class Pictures:
    """The pictures below a folder."""

    def __init__(self, folder: Path, remarks: Remarks) -> None:
        """Raises GroundTruthError where there are none."""
        self._remarks = remarks
        self._sources: dict[str, Source] = {}
        self._alike: dict[str, list[str]] = defaultdict(list)
        self._found: dict[str, LabelledPicture] = {}
        self._unfound: set[str] = set()
        top = folder.absolute()
        for source in Files([str(top)]):
            if isinstance(source, Source):
                name = Path(source.name).relative_to(top).as_posix()
                self._sources[name] = source
                self._alike[source.file_name].append(name)
            else:
                remarks.add("files whose name is not UTF-8, left out", source.path)
        if not self._sources:
            raise GroundTruthError(f"there are no pictures in '{folder}'; name the folder that holds the benchmark's.")

    def __iter__(self) -> Iterator[LabelledPicture]:
        """All of them."""
        return (self._picture(name) for name in self._sources)

    def at(self, name: str) -> LabelledPicture | None:
        """The picture at this very path below the folder; a missing one is remarked on."""
        if name in self._sources:
            return self._picture(name)
        self._gone(name, MISSING)
        return None

    def find(self, name: str) -> LabelledPicture | None:
        """The picture whose path ends most like the name: benchmarks are unpacked in many ways.

        A missing one is remarked on, and one of several that are equally alike.
        """
        if name in self._sources:
            return self._picture(name)
        wanted = PurePosixPath(name).parts[::-1]
        alike = self._alike.get(PurePosixPath(name).name, [])
        if not alike:
            self._gone(name, MISSING)
            return None
        common = {other: _common(wanted, PurePosixPath(other).parts[::-1]) for other in alike}
        best = [other for other in alike if common[other] == max(common.values())]
        if len(best) > 1:
            self._gone(name, SAME_NAME)
            return None
        return self._picture(best[0])

    def remark_unnamed(self) -> None:
        """Those that nobody has asked for."""
        for name in self._sources:
            if name not in self._found:
                self._remarks.add(UNNAMED, name)

    def _gone(self, name: str, why: str) -> None:
        if name not in self._unfound:
            self._unfound.add(name)
            self._remarks.add(why, name)

    def _picture(self, name: str) -> LabelledPicture:
        if name not in self._found:
            source = self._sources[name]
            try:
                size = upright_size(Path(source.name))
            except BadPhoto:
                self._remarks.add(UNREADABLE, name)
                size = None
            self._found[name] = LabelledPicture(name, source, size)
        return self._found[name]


def _common(parts: Sequence[str], others: Sequence[str]) -> int:
    """How many parts at the beginning are the same."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(parts, others, strict=False))))


def upright_size(file: Path) -> tuple[int, int]:
    """Width and height as a person sees the picture, from its header alone. Raises BadPhoto."""
    try:
        with file.open("rb") as stream, opened(stream) as image:
            width, height = image.size
            # EXIF's turns by a quarter.
            return (height, width) if orientation(image) in (5, 6, 7, 8) else (width, height)
    except OSError as error:
        raise BadPhoto(str(error)) from error


class Boxes:
    """Boxes of the truth, each checked against its picture."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks
        self._other: set[str] = set()

    def within(
        self, picture: LabelledPicture, corners: Iterable[Sequence[float]], said: tuple[int, int] | None = None
    ) -> tuple[Box, ...]:
        """Boxes of x1, y1, x2, y2 in pixels; `said` is the picture's size that the truth goes by."""
        scale = self._scale(picture, said)
        if scale is None:
            return ()
        boxes = (self._within(picture, [side * scale for side in each]) for each in corners)
        return tuple(box for box in boxes if box is not None)

    def _scale(self, picture: LabelledPicture, said: tuple[int, int] | None) -> float | None:
        """What to multiply a box by; None where it cannot be known where it is."""
        if said is None or picture.size is None or said == picture.size:
            return 1.0
        across, down = picture.size[0] / said[0], picture.size[1] / said[1]
        same_shape = abs(across / down - 1) < 0.01
        if picture.photo_id not in self._other:
            self._other.add(picture.photo_id)
            self._remarks.add(OTHER_SIZE if same_shape else OTHER_SHAPE, picture.name)
        return across if same_shape else None

    def _within(self, picture: LabelledPicture, corners: Sequence[float]) -> Box | None:
        x1, y1, x2, y2 = corners
        if not (all(map(math.isfinite, corners)) and x1 < x2 and y1 < y2):
            self._remarks.add(EMPTY_BOX, picture.name)
            return None
        width, height = picture.size or (math.inf, math.inf)
        cut = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
        if cut[0] >= cut[2] or cut[1] >= cut[3]:
            self._remarks.add(OUTSIDE, picture.name)
            return None
        if min(x1, y1) < -BEYOND or x2 > width + BEYOND or y2 > height + BEYOND:
            self._remarks.add(CUT, picture.name)
        return Box(*cut)


def corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of a box of x, y, width, height. Raises ValueError, TypeError for what is none."""
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


def by_class(labels: Iterable[tuple[str, LabelledPicture, Sequence[Box]]]) -> list[LabelledQuery]:
    """A query for each class name, in the order of the alphabet, from the boxes of a class in a picture."""
    classes: dict[str, dict[str, tuple[Box, ...]]] = defaultdict(dict)
    for label, picture, boxes in labels:
        # As LVIS has them, aerosol_can.
        shown = classes[label.replace("_", " ")]
        shown[picture.photo_id] = (*shown.get(picture.photo_id, ()), *boxes)
    return [LabelledQuery(label, dict(classes[label])) for label in sorted(classes)]


def file_of(folder: Path, given: Path | None, *patterns: str) -> Path:
    """The file of the truth: the given one, else the only one in the folder. Raises GroundTruthError."""
    if given is not None:
        return given
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            raise GroundTruthError(f"'{folder}' holds {len(found)} files {pattern}; name the truth with --truth FILE.")
    raise GroundTruthError(f"'{folder}' holds no {' or '.join(patterns)}; name the truth with --truth FILE.")


def read_json(file: Path) -> Any:
    """Raises GroundTruthError."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GroundTruthError(f"'{file}' cannot be read as JSON: {error}.") from error


def json_lines(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each line, and where it is for messages. Raises GroundTruthError."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise GroundTruthError(f"'{file}' cannot be read: {error}.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"'{file}', line {number},"
            with understood(place):
                yield place, json.loads(line)


@contextmanager
def understood(place: str) -> Iterator[None]:
    """Turns what a row of another form raises into a GroundTruthError that names the place."""
    try:
        yield
    except KeyError as error:
        raise GroundTruthError(f"{place} lacks {error}.") from error
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise GroundTruthError(f"{place} is not of the benchmark's form: {error}.") from error
