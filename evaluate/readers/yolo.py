"""YOLO's text: a `.txt` per picture with lines `class x y w h` (the middle, as shares of the picture), or polygons.

A label file lies beside its picture, or in the folder `labels` where the picture is in `images`. The names of the
classes come from `data.yaml` (`names`, a list or a mapping) or from a text, a name a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, Remarks
from sorce.evaluate.readers.files import ABSENT, Boxes, Pictures, by_class, file_of, understood

UNLABELLED = "pictures without a label file, taken to show nothing that is asked for"
UNREAD = "label files that cannot be read as UTF-8, their pictures taken to show nothing that is asked for"
STRAY = "label files without their picture, left out"
NAMELESS = "objects of a class without a name, left out"


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """Each class name answered by the pictures that show it; `truth` is the file of names. Raises GroundTruthError."""
    names = _names(file_of(folder, truth, "data.yaml", "*.yaml", "*.yml", "classes.txt", "*.names"))
    remarks = Remarks()
    boxes = Boxes(remarks)
    pictures = list(Pictures(folder, remarks))
    labels, used = [], set()
    for picture in pictures:
        file = _label_file(Path(picture.source.name))
        if file is None:
            remarks.add(UNLABELLED, picture.name)
            continue
        used.add(file)
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            remarks.add(UNREAD, file.name)
            continue
        for number, corners in _objects(file, lines, picture):
            if number not in names:
                remarks.add(NAMELESS, f"{number} in {file.name}")
            else:
                # What cannot be opened has no size to multiply with; that it should be found is still true.
                shown = boxes.within(picture, [corners] if picture.size else [])
                labels.append((names[number], picture, shown))
    for name in sorted(set(names.values()) - {label for label, _, _ in labels}):
        remarks.add(ABSENT, name)
    for file in _stray(folder.absolute(), used):
        remarks.add(STRAY, file.name)
    return GroundTruth.of(pictures, by_class(labels), remarks)


def _names(file: Path) -> Mapping[int, str]:
    try:
        text = file.read_text(encoding="utf-8")
        listed = yaml.safe_load(text)["names"] if file.suffix in (".yaml", ".yml") else text.split("\n")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise GroundTruthError(f"'{file}' has no names of classes that can be read: {error!r}.") from error
    with understood(f"'{file}'"):
        numbered = listed.items() if isinstance(listed, dict) else enumerate(listed)
        return {int(number): str(name).strip() for number, name in numbered if str(name).strip()}


def _label_file(picture: Path) -> Path | None:
    parts = list(picture.parent.parts)
    beside = picture.with_suffix(".txt")
    if "images" in parts:
        place = len(parts) - 1 - parts[::-1].index("images")
        parts[place] = "labels"
        apart = Path(*parts, beside.name)
        if apart.is_file():
            return apart
    return beside if beside.is_file() else None


def _stray(folder: Path, used: Iterable[Path]) -> Iterator[Path]:
    """Label files that no picture has, below the folder and where the used ones lie."""
    places = {folder, *(file.parent for file in used)}
    for file in sorted({file for place in places for file in place.rglob("*.txt")} - set(used)):
        # By its content: names of classes, lists of pictures and credits are texts, too.
        if file.is_file() and _is_labels(file):
            yield file


def _is_labels(file: Path) -> bool:
    """Whether the first line is a class and at least a box."""
    try:
        with file.open(encoding="utf-8") as lines:
            return len([float(number) for number in next(filter(str.strip, lines), "").split()]) > 4
    except (OSError, ValueError):
        return False


def _objects(
    file: Path, lines: Iterable[str], picture: LabelledPicture
) -> list[tuple[int, tuple[float, float, float, float]]]:
    """Class and corners in pixels of each object. Raises GroundTruthError."""
    width, height = picture.size or (1, 1)
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            with understood(f"'{file}', line {number},"):
                kind, *numbers = map(float, line.split())
                x1, y1, x2, y2 = _corners(numbers)
                found.append((int(kind), (x1 * width, y1 * height, x2 * width, y2 * height)))
    return found


def _corners(numbers: list[float]) -> tuple[float, float, float, float]:
    """Of a box, or round a polygon x, y, x, y, ..."""
    if len(numbers) == 4:
        x, y, width, height = numbers
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(f"{len(numbers)} numbers are neither a box nor a polygon")
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
