"""COCO's JSON, which LVIS and Objects365 share: `images`, `annotations` (boxes x, y, w, h) and `categories`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, Remarks
from sorce.evaluate.readers.files import (
    ABSENT,
    Boxes,
    Pictures,
    by_class,
    corners,
    file_of,
    read_json,
    understood,
)
from sorce.mappings import Box

REPEATED = "pictures that the truth lists more than once, their objects taken together"
CROWD = "boxes round a crowd, which say that a picture shows the class, but not where"
SHARED = "pictures that share an id with another one, left out, as their boxes could be of either"
STRAY = "annotations of a picture that the truth does not list, left out"

Row = Mapping[str, Any]


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """Each category's name answered by the pictures that show it. Raises TruthError."""
    file = file_of(folder, truth, "*.json", "annotations/*.json")
    content, remarks = read_json(file), Remarks()
    pictures, boxes = Pictures(folder, remarks), Boxes(remarks)
    with understood(f"'{file}'"):
        names = {row["id"]: str(row["name"]) for row in content["categories"]}
        listed = {row["id"]: row for row in content["images"]}
        shared = _shared(content["images"], remarks)
        here = [(row["id"], picture) for row in content["images"] if (picture := pictures.find(_name(row)))]
        found = {number: picture for number, picture in here if number not in shared}
        _remark_repeated([picture for number, picture in here if number in found], remarks)
        labels: list[tuple[str, LabelledPicture, Sequence[Box]]] = []
        for row in content["annotations"]:
            if row["image_id"] not in listed:
                remarks.add(STRAY, str(row["image_id"]))
            elif row["image_id"] in found:
                picture = found[row["image_id"]]
                shown = _boxes(row, picture, listed[row["image_id"]], boxes, remarks)
                labels.append((names[row["category_id"]], picture, shown))
    for name in sorted(set(names.values()) - {label for label, _, _ in labels}):
        remarks.add(ABSENT, name)
    pictures.remark_unnamed()
    return GroundTruth.of(found.values(), by_class(labels), remarks)


def _name(image: Row) -> str:
    """LVIS gives an address only, which ends in folder and file."""
    return str(image["file_name"]) if "file_name" in image else urlsplit(image["coco_url"]).path.strip("/")


def _shared(images: Iterable[Row], remarks: Remarks) -> set[Any]:
    """The ids that pictures of several names have."""
    names: dict[Any, dict[str, None]] = defaultdict(dict)
    for image in images:
        names[image["id"]][_name(image)] = None
    shared = {number: those for number, those in names.items() if len(those) > 1}
    for those in shared.values():
        for name in those:
            remarks.add(SHARED, name)
    return set(shared)


def _remark_repeated(pictures: Sequence[LabelledPicture], remarks: Remarks) -> None:
    seen = set()
    for picture in pictures:
        if picture.photo_id in seen:
            remarks.add(REPEATED, picture.name)
        seen.add(picture.photo_id)


def _boxes(row: Row, picture: LabelledPicture, image: Row, boxes: Boxes, remarks: Remarks) -> tuple[Box, ...]:
    if row.get("iscrowd"):
        remarks.add(CROWD, picture.name)
        return ()
    said = (int(image["width"]), int(image["height"])) if "width" in image and "height" in image else None
    return boxes.within(picture, [corners(row["bbox"])], said)
