"""SORCE-1K (arXiv 2505.24441): `dataset.jsonl` beside the folders `full_res`, `zoom_2x` and `zoom_3x`.

Lines are `{"image", "caption", "bbox": [[x, y, w, h], ...]}`, boxes in pixels of full_res; the three folders hold
pictures of the same names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, LabelledQuery, Remarks
from sorce.evaluate.readers.files import Boxes, Pictures, corners, file_of, json_lines, understood
from sorce.mappings import Box

FULL, MEDIUM, EASY = "full_res", "zoom_2x", "zoom_3x"
LEAST_SIDE = 4.0
"""Of a square of the box's area, in pixels: the published file has a box of 1.9."""

REPEATED = "lines whose picture an earlier line has, left out"
BLANK = "blank captions, left out"
INCOMPLETE = "captions left out because one of their pictures is missing"
UNLOCATED = "captions without a box, which count for retrieval only"
TINY = f"boxes of less than {LEAST_SIDE:.0f} x {LEAST_SIDE:.0f} pixels, left out"
NO_ZOOMS = f"no folders {MEDIUM} and {EASY}, so that only the form with {FULL} is asked"


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """Each caption answered by its pictures in the order full_res, zoom_2x, zoom_3x (if these folders are there).

    Pictures are named `full_res/sa_1.jpg`. Raises TruthError.
    """
    remarks = Remarks()
    pictures, boxes = Pictures(folder, remarks), Boxes(remarks)
    forms = [FULL, MEDIUM, EASY] if (folder / MEDIUM).is_dir() and (folder / EASY).is_dir() else [FULL]
    if len(forms) == 1:
        remarks.add(NO_ZOOMS, folder.name)
    used: list[LabelledPicture] = []
    queries = []
    for place, row, name in _rows(file_of(folder, truth, "dataset.jsonl"), remarks):
        found = [picture for form in forms if (picture := pictures.at(f"{form}/{name}")) is not None]
        if len(found) < len(forms):
            remarks.add(INCOMPLETE, name)
            continue
        used += found
        with understood(place):
            shown = _boxes(row.get("bbox") or (), found[0], boxes, remarks)
        queries.append(
            LabelledQuery(row["caption"], {each.photo_id: () for each in found} | {found[0].photo_id: shown})
        )
    pictures.remark_unnamed()
    return GroundTruth.of(used, queries, remarks)


def _rows(file: Path, remarks: Remarks) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Where each line is, itself, and the name of its picture."""
    seen: set[str] = set()
    for place, row in json_lines(file):
        with understood(place):
            name, blank = str(row["image"]), not row["caption"].strip()
        if name in seen:
            remarks.add(REPEATED, name)
        elif blank:
            remarks.add(BLANK, name)
        else:
            seen.add(name)
            yield place, row, name


def _boxes(
    rows: Sequence[Sequence[float]], picture: LabelledPicture, boxes: Boxes, remarks: Remarks
) -> tuple[Box, ...]:
    large = [row for row in rows if row[2] * row[3] >= LEAST_SIDE**2]
    for _ in range(len(rows) - len(large)):
        remarks.add(TINY, picture.name)
    found = boxes.within(picture, map(corners, large))
    if not found:
        remarks.add(UNLOCATED, picture.name)
    return found
