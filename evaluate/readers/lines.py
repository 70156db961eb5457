"""JSON lines, one a photo: `{"image", "width", "height", "objects": [{"label", "box": [x1, y1, x2, y2]}]}`, pixels."""

from __future__ import annotations

from pathlib import Path

from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, Remarks
from sorce.evaluate.readers.boxes import Boxes, by_class, remark_absent
from sorce.evaluate.readers.pictures import Pictures
from sorce.evaluate.readers.rows import Row, box_of_corners, class_name, fields, items, left_out, size, text
from sorce.evaluate.readers.text import file_of, json_lines
from sorce.mappings import Box

REPEATED = "lines whose picture an earlier line has, their objects taken together"


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """A query for each class name, with the pictures that show it. Raises GroundTruthError."""
    remarks = Remarks()
    reader = _Reader(Pictures(folder, remarks), Boxes(remarks), remarks)
    for place, row in json_lines(file_of(folder, truth, "labels.jsonl", "*.jsonl"), remarks):
        with left_out(remarks, "lines", place):
            reader.add(fields(row), place)
    remark_absent(reader.names, reader.labels, remarks)
    reader.pictures.remark_unnamed()
    return GroundTruth.of(reader.used.values(), by_class(reader.labels), remarks)


class _Reader:
    """The content of the lines read so far: class names, the pictures that are here, and what each shows."""

    def __init__(self, pictures: Pictures, boxes: Boxes, remarks: Remarks) -> None:
        self.pictures, self._boxes, self._remarks = pictures, boxes, remarks
        self.names: set[str] = set()
        self.used: dict[str, LabelledPicture] = {}
        self.labels: list[tuple[str, LabelledPicture, tuple[Box, ...]]] = []

    def add(self, row: Row, place: str) -> None:
        """Raises BadRow."""
        name, objects = text(row, "image"), items(row, "objects")
        picture, stated = self.pictures.find(name), size(row, self._remarks, place)
        if picture is not None:
            if picture.photo_id in self.used:
                self._remarks.add(REPEATED, f"{picture.name} in {place}")
            self.used[picture.photo_id] = picture
        for number, each in enumerate(objects, 1):
            here = f"{place}, object {number}"
            with left_out(self._remarks, "objects", here):
                self._add_object(fields(each), here, picture, stated)

    def _add_object(
        self, row: Row, place: str, picture: LabelledPicture | None, stated: tuple[float, float] | None
    ) -> None:
        """Raises BadRow."""
        label, corners = class_name(row, "label"), box_of_corners(row.get("box"), "box")
        self.names.add(label)
        if picture is not None:
            self.labels.append((label, picture, self._boxes.within(picture, corners, place, stated)))
