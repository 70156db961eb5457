"""COCO's JSON, also used by LVIS and Objects365: `images`, `annotations` (boxes x, y, w, h) and `categories`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, Remarks
from sorce.evaluate.readers.boxes import Boxes, by_class, remark_absent
from sorce.evaluate.readers.pictures import Pictures
from sorce.evaluate.readers.rows import (
    BadRow,
    Identity,
    Row,
    box_of_size,
    class_name,
    fields,
    identity,
    left_out,
    rows_of,
    shared_ids,
    size,
    text,
)
from sorce.evaluate.readers.text import file_of, read_json
from sorce.mappings import Box

FILES = ("*.json", "annotations/*.json")
"""Where a folder has its label file."""

REPEATED = "pictures that the label file lists more than once, their objects taken together"
CROWD = "boxes round a crowd, which say that a picture shows the class, but not where"
SHARED = "pictures that share an id with another one, left out, as their boxes could be of either"
SHARED_CLASS = "classes that share an id with another one, left out, as their boxes could be of either"
STRAY = "annotations of a picture that the label file does not list, left out"
UNNAMED_CLASS = "annotations of a class without one valid name, left out"

Label = tuple[str, LabelledPicture, tuple[Box, ...]]


@dataclass(frozen=True, slots=True)
class Images:
    """The ids in the label file. For those whose picture is here, also the picture and the size stated for it."""

    listed: set[Identity]
    pictures: Mapping[Identity, tuple[LabelledPicture, tuple[float, float] | None]]


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """A query for each category's name, with the pictures that show it. Raises GroundTruthError."""
    file = file_of(folder, truth, *FILES)
    content, remarks = read_json(file), Remarks()
    categories, images, annotations = (
        rows_of(content, key, f"'{file}'") for key in ("categories", "images", "annotations")
    )
    pictures, boxes = Pictures(folder, remarks), Boxes(remarks)
    names = _class_names(categories, file.name, remarks)
    found = _images(images, pictures, file.name, remarks)
    labels: list[Label] = []
    for number, row in enumerate(annotations, 1):
        place = f"{file.name}, annotation {number}"
        with left_out(remarks, "annotations", place):
            labels += _labels(fields(row), place, names, found, boxes, remarks)
    remark_absent(names.values(), labels, remarks)
    pictures.remark_unnamed()
    return GroundTruth.of((picture for picture, _ in found.pictures.values()), by_class(labels), remarks)


def _labels(
    row: Row, place: str, names: Mapping[Identity, str], images: Images, boxes: Boxes, remarks: Remarks
) -> list[Label]:
    """The label of an annotation, or None where its picture or class is left out. Raises BadRow."""
    image, category = identity(row, "image_id"), identity(row, "category_id")
    if image not in images.listed or category not in names:
        is_stray = image not in images.listed
        remarks.add(STRAY if is_stray else UNNAMED_CLASS, f"{image if is_stray else category} in {place}")
        return []
    is_crowd = row.get("iscrowd") in (1, "1")
    corners = None if is_crowd else box_of_size(row.get("bbox"), "bbox")
    if image not in images.pictures:
        return []
    picture, stated = images.pictures[image]
    if corners is None:
        remarks.add(CROWD, f"{picture.name} in {place}")
        return [(names[category], picture, ())]
    return [(names[category], picture, boxes.within(picture, corners, place, stated))]


def _class_names(rows: Sequence[Any], file: str, remarks: Remarks) -> dict[Identity, str]:
    named = []
    for number, row in enumerate(rows, 1):
        with left_out(remarks, "categories", f"{file}, category {number}"):
            named.append((identity(fields(row), "id"), class_name(row, "name")))
    shared = shared_ids(named, SHARED_CLASS, remarks)
    return {key: name for key, name in named if key not in shared}


def _images(rows: Sequence[Any], pictures: Pictures, file: str, remarks: Remarks) -> Images:
    listed, named = set(), []
    for number, row in enumerate(rows, 1):
        place = f"{file}, image {number}"
        with left_out(remarks, "images", place):
            key = identity(fields(row), "id")
            # Before the name is read, so that annotations of a bad row do not count as those of an unknown image.
            listed.add(key)
            named.append((key, _file_name(row), size(row, remarks, place)))
    shared = shared_ids(((key, name) for key, name, _ in named), SHARED, remarks)
    found, seen = {}, set()
    for key, name, stated in named:
        picture = pictures.find(name)
        if picture is None or key in shared:
            continue
        if picture.photo_id in seen:
            remarks.add(REPEATED, picture.name)
        seen.add(picture.photo_id)
        found[key] = (picture, stated)
    return Images(listed, found)


def _file_name(row: Row) -> str:
    """The picture's file name. LVIS gives only an address, which ends in folder and file name. Raises BadRow."""
    if row.get("file_name") is not None:
        return text(row, "file_name")
    if row.get("coco_url") is None:
        raise BadRow("that have no 'file_name'")
    try:
        return urlsplit(text(row, "coco_url")).path.strip("/")
    except ValueError:
        raise BadRow("whose 'coco_url' is not an address") from None
