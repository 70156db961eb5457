"""SOREC (arXiv 2510.03701): a JSON list of `{"image", "bbox": [x, y, w, h], "ref", "id"}`, a box per expression."""

from __future__ import annotations

from pathlib import Path

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, LabelledQuery, Remarks
from sorce.evaluate.readers.files import Boxes, Pictures, corners, file_of, read_json, understood

UNJUDGED = "expressions left out for want of their picture or box"
BLANK = "blank expressions, left out"


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """Each expression answered by one picture and one box. Raises GroundTruthError."""
    file = file_of(folder, truth, "*.json")
    remarks = Remarks()
    pictures, boxes = Pictures(folder, remarks), Boxes(remarks)
    used: dict[str, LabelledPicture] = {}
    queries = []
    content = read_json(file)
    if not isinstance(content, list):
        raise GroundTruthError(f"'{file}' is no list of expressions; name another with --truth FILE.")
    for number, row in enumerate(content, 1):
        with understood(f"'{file}', entry {number},"):
            text, picture = str(row["ref"]), pictures.find(row["image"])
            box = boxes.within(picture, [corners(row["bbox"])]) if picture else ()
        if not text.strip():
            remarks.add(BLANK, str(row["image"]))
        elif picture is None or not box:
            remarks.add(UNJUDGED, text)
        else:
            used[picture.photo_id] = picture
            queries.append(LabelledQuery(text, {picture.photo_id: box}))
    pictures.remark_unnamed()
    return GroundTruth.of(used.values(), queries, remarks)
