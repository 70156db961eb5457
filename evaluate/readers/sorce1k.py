"""SORCE-1K (arXiv 2505.24441): `dataset.jsonl` beside the folders `full_res`, `zoom_2x` and `zoom_3x`.

Lines are `{"image", "caption", "bbox": [[x, y, w, h], ...]}`, with boxes in pixels of full_res. The three folders
contain pictures of the same names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, LabelledQuery, Remarks
from sorce.evaluate.readers.boxes import Boxes
from sorce.evaluate.readers.pictures import Pictures
from sorce.evaluate.readers.rows import Row, box_of_size, fields, left_out, query_text, text
from sorce.evaluate.readers.text import file_of, json_lines
from sorce.mappings import Box

FULL, MEDIUM, EASY = "full_res", "zoom_2x", "zoom_3x"
MIN_SIDE = 4.0
"""The least side of a square with the box's area, in pixels. The published file has a box of 1.9."""

REPEATED = "lines whose picture an earlier line has, left out"
INCOMPLETE = "captions left out because one of their pictures is missing"
UNLOCATED = "captions without a box, which count for retrieval only"
TINY = f"boxes of less than {MIN_SIDE:.0f} x {MIN_SIDE:.0f} pixels, left out"
NO_ZOOMS = f"no folders {MEDIUM} and {EASY}, so that only the form with {FULL} is asked"


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """A query for each caption, with its pictures in the order full_res, zoom_2x, zoom_3x (if these folders exist).

    Pictures are named `full_res/sa_1.jpg`. Raises GroundTruthError.
    """
    remarks = Remarks()
    pictures, boxes = Pictures(folder, remarks), Boxes(remarks)
    forms = [FULL, MEDIUM, EASY] if (folder / MEDIUM).is_dir() and (folder / EASY).is_dir() else [FULL]
    if len(forms) == 1:
        remarks.add(NO_ZOOMS, folder.name)
    used: list[LabelledPicture] = []
    queries = []
    for place, row, name, caption in _rows(file_of(folder, truth, "dataset.jsonl"), remarks):
        found = [picture for form in forms if (picture := pictures.at(f"{form}/{name}")) is not None]
        if len(found) < len(forms):
            remarks.add(INCOMPLETE, place)
            continue
        used += found
        shown = _boxes(row.get("bbox"), found[0], place, boxes, remarks)
        answers = {each.photo_id: () for each in found} | {found[0].photo_id: shown}
        queries.append(LabelledQuery(caption, answers))
    pictures.remark_unnamed()
    return GroundTruth.of(used, queries, remarks)


def _rows(file: Path, remarks: Remarks) -> Iterator[tuple[str, Row, str, str]]:
    """For each line: its place, its content, its picture's name and its caption."""
    seen: set[str] = set()
    for place, line in json_lines(file, remarks):
        with left_out(remarks, "lines", place):
            row = fields(line)
            name, caption = text(row, "image"), query_text(row, "caption")
            if name in seen:
                remarks.add(REPEATED, place)
                continue
            seen.add(name)
            yield place, row, name, caption


def _boxes(rows: Any, picture: LabelledPicture, place: str, boxes: Boxes, remarks: Remarks) -> tuple[Box, ...]:
    """Only the boxes that cannot be used are left out: the caption still counts for retrieval."""
    found: list[Box] = []
    for number, row in enumerate(_list_of_boxes(rows, place, remarks), 1):
        with left_out(remarks, "boxes", f"{place}, box {number}"):
            corners = box_of_size(row, "bbox")
            x1, y1, x2, y2 = corners
            if (x2 - x1) * (y2 - y1) < MIN_SIDE**2:
                remarks.add(TINY, f"{picture.name} in {place}")
            else:
                found += boxes.within(picture, corners, place)
    if not found:
        remarks.add(UNLOCATED, f"{picture.name} in {place}")
    return tuple(found)


def _list_of_boxes(rows: Any, place: str, remarks: Remarks) -> list[Any]:
    """The list of possible boxes. A single box may be written without the list around it."""
    if rows is None:
        return []
    if not isinstance(rows, list):
        remarks.add("lines whose 'bbox' is not a list, their boxes left out", place)
        return []
    is_single = len(rows) == 4 and not any(isinstance(each, list) for each in rows)
    return [rows] if is_single else rows
