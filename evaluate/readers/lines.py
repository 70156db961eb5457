"""JSON lines, one a photo: `{"image", "width", "height", "objects": [{"label", "box": [x1, y1, x2, y2]}]}`, pixels."""

from __future__ import annotations

from pathlib import Path

from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, Remarks
from sorce.evaluate.readers.files import ABSENT, Boxes, Pictures, by_class, file_of, json_lines, understood

REPEATED = "lines whose picture an earlier line has, their objects taken together"


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """Each class name answered by the pictures that show it. Raises TruthError."""
    remarks = Remarks()
    pictures, boxes = Pictures(folder, remarks), Boxes(remarks)
    used: dict[str, LabelledPicture] = {}
    labels = []
    named: set[str] = set()
    for place, row in json_lines(file_of(folder, truth, "labels.jsonl", "*.jsonl")):
        with understood(place):
            picture = pictures.find(row["image"])
            named.update(str(thing["label"]) for thing in row["objects"])
            if picture is None:
                continue
            if picture.photo_id in used:
                remarks.add(REPEATED, picture.name)
            used[picture.photo_id] = picture
            said = (int(row["width"]), int(row["height"])) if "width" in row and "height" in row else None
            for thing in row["objects"]:
                labels.append((str(thing["label"]), picture, boxes.within(picture, [thing["box"]], said)))
    for name in sorted(named - {label for label, _, _ in labels}):
        remarks.add(ABSENT, name)
    pictures.remark_unnamed()
    return GroundTruth.of(used.values(), by_class(labels), remarks)
