"""SOREC (arXiv 2510.03701): a JSON list of `{"image", "bbox": [x, y, w, h], "ref", "id"}`, one box per expression."""

from __future__ import annotations

from pathlib import Path

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, LabelledQuery, Remarks
from sorce.evaluate.readers.boxes import Boxes
from sorce.evaluate.readers.pictures import Pictures
from sorce.evaluate.readers.rows import box_of_size, fields, left_out, query_text, text
from sorce.evaluate.readers.text import file_of, read_json

NOT_ASKED = "expressions left out because their picture is missing or their box cannot be used"


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """A query for each expression, with one picture and one box. Raises GroundTruthError."""
    file = file_of(folder, truth, "*.json")
    content, remarks = read_json(file), Remarks()
    if not isinstance(content, list):
        raise GroundTruthError(
            f"'{file}' is not a list of expressions; name another label file with --ground-truth FILE."
        )
    pictures, boxes = Pictures(folder, remarks), Boxes(remarks)
    used: dict[str, LabelledPicture] = {}
    queries = []
    for number, entry in enumerate(content, 1):
        place = f"{file.name}, expression {number}"
        with left_out(remarks, "expressions", place):
            row = fields(entry)
            expression, name = query_text(row, "ref"), text(row, "image")
            corners = box_of_size(row.get("bbox"), "bbox")
            picture = pictures.find(name)
            box = boxes.within(picture, corners, place) if picture else ()
            if picture is None or not box:
                remarks.add(NOT_ASKED, place)
            else:
                used[picture.photo_id] = picture
                queries.append(LabelledQuery(expression, {picture.photo_id: box}))
    pictures.remark_unnamed()
    return GroundTruth.of(used.values(), queries, remarks)
