"""YOLO's text format: a `.txt` per picture, a row per object. Numbers are shares of the picture's width and height.

Rows are `class x y w h` (x and y: the middle of the box), or polygons `class x1 y1 x2 y2 ...` of at least three points
(segments, and oriented boxes of four). They are poses (a box, then key points) where `kpt_shape` of `data.yaml` says
so. A label file is beside its picture, or in the folder `labels` if the picture is in `images`. The names of the
classes are in `data.yaml` (`names`, a list or a mapping), or in a text file with one name per line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, Remarks
from sorce.evaluate.readers.boxes import Boxes, by_class, remark_absent
from sorce.evaluate.readers.pictures import Pictures
from sorce.evaluate.readers.rows import BadRow, checked, left_out
from sorce.evaluate.readers.text import decode, file_of, lines_of, read_text
from sorce.evaluate.readers.yolo_classes import Classes, read_classes
from sorce.mappings import Box
from sorce.mappings.labels import Corners
from sorce.pictures.names import composed

UNLABELLED = "pictures without a label file, taken to show nothing that is asked for"
UNREAD = "label files that cannot be read, their pictures taken to show nothing that is asked for"
STRAY = "label files without their picture, left out"
NAMELESS = "objects of a class without a name, left out"

HEAD = 1 << 16
"""How many bytes of a text are read to see if it has labels. A multiple of 4, so that no UTF-32 character is cut."""


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """A query for each class name, with the pictures that show it. `truth` has the names. Raises GroundTruthError."""
    remarks = Remarks()
    classes = read_classes(file_of(folder, truth, "data.yaml", "*.yaml", "*.yml", "classes.txt", "*.names"), remarks)
    reader = _Reader(classes, Boxes(remarks), remarks)
    pictures = list(Pictures(folder, remarks))
    used = set()
    for picture in pictures:
        file = _label_file(Path(picture.source.name))
        if file is None:
            remarks.add(UNLABELLED, picture.name)
        else:
            used.add(file)
            reader.add(file, _shown_name(file, folder.absolute()), picture)
    remark_absent(classes.names.values(), reader.labels, remarks)
    for file in _stray(folder.absolute(), used):
        remarks.add(STRAY, _shown_name(file, folder.absolute()))
    return GroundTruth.of(pictures, by_class(reader.labels), remarks)


@dataclass(frozen=True, slots=True)
class _Object:
    """A row: the number of its class, and x1, y1, x2, y2 as shares of the picture."""

    number: int
    corners: Corners


class _Reader:
    """The content of the label files read so far."""

    def __init__(self, classes: Classes, boxes: Boxes, remarks: Remarks) -> None:
        self._classes, self._boxes, self._remarks = classes, boxes, remarks
        self.labels: list[tuple[str, LabelledPicture, tuple[Box, ...]]] = []

    def add(self, file: Path, name: str, picture: LabelledPicture) -> None:
        try:
            lines = lines_of(read_text(file))
        except GroundTruthError:
            self._remarks.add(UNREAD, name)
            return
        for number, line in enumerate(lines, 1):
            if line.strip():
                place = f"{name}, line {number}"
                with left_out(self._remarks, "rows", place):
                    self._add_row(line, place, picture)

    def _add_row(self, line: str, place: str, picture: LabelledPicture) -> None:
        """Raises BadRow."""
        row = _object(line, self._classes.key_point_numbers)
        if row.number not in self._classes.names:
            self._remarks.add(NAMELESS, f"{row.number} in {place}")
            return
        shown: tuple[Box, ...] = ()
        # If a picture cannot be opened, its box in pixels is unknown. But the picture is still relevant to the class.
        if picture.size is not None:
            (width, height), (x1, y1, x2, y2) = picture.size, row.corners
            shown = self._boxes.within(picture, (x1 * width, y1 * height, x2 * width, y2 * height), place)
        self.labels.append((self._classes.names[row.number], picture, shown))


def _object(line: str, key_point_numbers: int | None) -> _Object:
    """Raises BadRow."""
    try:
        kind, *numbers = map(float, line.split())
    except ValueError:
        raise BadRow("that are not numbers alone") from None
    if not all(map(math.isfinite, (kind, *numbers))):
        raise BadRow("with a number that is not finite")
    if kind != int(kind):
        raise BadRow("whose class is not a whole number")
    return _Object(int(kind), checked(_corners(numbers, key_point_numbers), "box"))


def _corners(numbers: list[float], key_point_numbers: int | None) -> Corners:
    """The corners of a box, of a box before key points, or around a polygon x, y, x, y, ... Raises BadRow."""
    is_pose = key_point_numbers is not None and len(numbers) == 4 + key_point_numbers
    if len(numbers) == 4 or is_pose:
        x, y, width, height = numbers[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if key_point_numbers is not None:
        raise BadRow("that are neither a box nor a box with the key points of kpt_shape")
    if len(numbers) < 6 or len(numbers) % 2:
        raise BadRow("that are neither a box nor a polygon")
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])


def _label_file(picture: Path) -> Path | None:
    parts = list(picture.parent.parts)
    beside = picture.with_suffix(".txt")
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        parts[place] = "labels"
        if (apart := _in_either_form(Path(*parts), beside.name)) is not None:
            return apart
    return _in_either_form(picture.parent, beside.name)


def _in_either_form(folder: Path, name: str) -> Path | None:
    """The file with this name, in this or the other Unicode form."""
    if (folder / name).is_file():
        return folder / name
    if name.isascii() or not folder.is_dir():
        return None
    same = (file for file in sorted(folder.iterdir()) if composed(file.name) == composed(name) and file.is_file())
    return next(same, None)


def _stray(folder: Path, used: Iterable[Path]) -> Iterator[Path]:
    """Label files without a picture, below the folder and in the folders of the used label files."""
    places = {folder, *(file.parent for file in used)}
    for file in sorted({file for place in places for file in place.rglob("*.txt")} - set(used)):
        # By content: class names, lists of pictures and credits are text files, too.
        if file.is_file() and _is_labels(file):
            yield file


def _is_labels(file: Path) -> bool:
    """Whether the first line is a class and at least a box."""
    try:
        with file.open("rb") as stream:
            first = next(filter(str.strip, lines_of(decode(stream.read(HEAD)))), "")
        return len([float(number) for number in first.split()]) > 4
    except (OSError, ValueError):
        return False


def _shown_name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name
