"""Hits as labels for labelling tools and for training: the boxes of each photo, as COCO, YOLO or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from zipfile import ZipFile

from sorce.errors import QueryError
from sorce.mappings import Box, Hit, Rejected
from sorce.plugin.query.archive import add
from sorce.plugin.query.export_names import safe_path

REGION, LOCATED, MARK = "region", "located", "mark"


@dataclass(frozen=True, slots=True)
class Mark:
    """A person's judgement of a box: whether it shows what the phrase says."""

    photo_id: str
    box: Box
    phrase: str
    is_right: bool
    region_id: int | None = None


@dataclass(frozen=True, slots=True)
class LabelBox:
    """A box in pixels, inside the photo, and what it is called.

    `source` is `region` (the index's box; `score` is its similarity), `located` (a second stage's box and score) or
    `mark` (a person's, without a score).
    """

    label: str
    box: Box
    source: str
    score: float | None = None
    region_id: int | None = None


@dataclass(frozen=True, slots=True)
class PhotoLabels:
    """A photo by its name, its width and height in pixels, and its boxes. Without boxes it shows nothing sought."""

    photo_id: str
    name: str
    width: int
    height: int
    boxes: tuple[LabelBox, ...]


def with_duplicates(hits: Sequence[Hit]) -> list[Hit]:
    """Each hit, followed by the near-duplicates folded under it."""
    return [photo for hit in hits for photo in (hit, *hit.duplicates)]


def labelled(
    photos: Sequence[Hit], labels: Sequence[str], names: Mapping[str, str], marks: Sequence[Mark] = ()
) -> list[PhotoLabels]:
    """The photos with their boxes. `labels` are those of the search, and `names` is by photo id.

    With marks, only marked photos, with the boxes that are right: a photo whose marks are all wrong has none. Without,
    a phrase's boxes are those of the second stage where there was one, which are tighter, else the index's. A part of a
    box outside the photo is cut off. Raises QueryError for a mark of a photo that is not given.
    """
    if not marks:
        return [_labelled(photo, names, list(_found(photo, labels))) for photo in photos]
    by_id = {photo.photo_id: photo for photo in photos}
    boxes: dict[str, list[LabelBox]] = {}
    for mark in marks:
        if mark.photo_id not in by_id:
            raise QueryError(f"photo '{mark.photo_id}' has a mark, and is not among the photos; mark what was found.")
        here = boxes.setdefault(mark.photo_id, [])
        if mark.is_right:
            here.append(LabelBox(mark.phrase, mark.box, MARK, None, mark.region_id))
    return [_labelled(by_id[photo_id], names, found) for photo_id, found in boxes.items()]


def _found(photo: Hit, labels: Sequence[str]) -> Iterator[LabelBox]:
    seen = photo.seen.located if photo.seen is not None else ()
    for number, (label, matches) in enumerate(zip(labels, photo.matches, strict=False)):
        if number < len(seen):
            yield from (LabelBox(label, each.box, LOCATED, each.score) for each in seen[number].instances)
        else:
            yield from (LabelBox(label, each.box, REGION, each.similarity, each.region_id) for each in matches)


def _labelled(photo: Hit, names: Mapping[str, str], boxes: Sequence[LabelBox]) -> PhotoLabels:
    inside = (_inside(each, photo.width, photo.height) for each in boxes)
    kept = tuple(each for each in inside if each is not None)
    return PhotoLabels(photo.photo_id, names[photo.photo_id], photo.width, photo.height, kept)


def _inside(label: LabelBox, width: int, height: int) -> LabelBox | None:
    """Without what lies outside the photo: anyone who may write to an index chooses its boxes."""
    x1, y1, x2, y2 = label.box.as_tuple()
    sides = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
    if not (sides[0] < sides[2] and sides[1] < sides[3]):
        return None
    # One line, as files of class names need it.
    return LabelBox(" ".join(label.label.split()), Box(*sides), label.source, label.score, label.region_id)


def class_names(photos: Sequence[PhotoLabels]) -> list[str]:
    """Each label once, in the order in which they come up."""
    return list(dict.fromkeys(box.label for photo in photos for box in photo.boxes))


def coco(photos: Sequence[PhotoLabels]) -> dict[str, Any]:
    """The object detection form of https://cocodataset.org/#format-data, with ids from 1.

    An annotation's polygon is its box. `score`, `source`, `region_id` and `photo_id` are sorce's additions.
    """
    categories = {name: number for number, name in enumerate(class_names(photos), 1)}
    images = [
        {
            "id": number,
            "file_name": photo.name,
            "width": photo.width,
            "height": photo.height,
            "photo_id": photo.photo_id,
        }
        for number, photo in enumerate(photos, 1)
    ]
    boxes = [(image, box) for image, photo in enumerate(photos, 1) for box in photo.boxes]
    return {
        "info": {"description": "Boxes found by sorce"},
        "licenses": [],
        "images": images,
        "annotations": [
            _annotation(number, image, categories[box.label], box) for number, (image, box) in enumerate(boxes, 1)
        ],
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()],
    }


def _annotation(number: int, image: int, category: int, found: LabelBox) -> dict[str, Any]:
    x1, y1, x2, y2 = found.box.as_tuple()
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": found.box.area,
        "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
        "iscrowd": 0,
        "score": found.score,
        "source": found.source,
        "region_id": found.region_id,
    }


def lines(photos: Sequence[PhotoLabels]) -> Iterator[dict[str, Any]]:
    """One object for each photo, as `sorce evaluate lines` reads it."""
    for photo in photos:
        objects = [{"label": each.label, "box": list(each.box.as_tuple())} for each in photo.boxes]
        yield {"image": photo.name, "width": photo.width, "height": photo.height, "objects": objects}


def yolo(photos: Sequence[PhotoLabels], stream: BinaryIO) -> tuple[Rejected, ...]:
    """A ZIP of `data.yaml`, `classes.txt` and `labels/NAME.txt`: a class, and centre, width and height as shares.

    Unpacked beside a folder `images` of the photos. Label files have the photo's name without its suffix, so a second
    photo of the same name is left out, and returned.
    """
    import yaml

    names = class_names(photos)
    numbers = {name: number for number, name in enumerate(names)}
    left_out: list[Rejected] = []
    taken: set[str] = set()
    with ZipFile(stream, "w") as archive:
        told = {"train": "images", "val": "images", "names": dict(enumerate(names))}
        add(archive, "data.yaml", yaml.safe_dump(told, allow_unicode=True, sort_keys=False))
        add(archive, "classes.txt", "".join(f"{name}\n" for name in names))
        for photo in photos:
            file = str(PurePosixPath("labels", safe_path(photo.name)).with_suffix(".txt"))
            if file.casefold() in taken:
                left_out.append(Rejected(photo.name, "has the same name as another photo, apart from the suffix"))
                continue
            taken.add(file.casefold())
            add(archive, file, "".join(_yolo_row(each, photo, numbers) for each in photo.boxes))
    return tuple(left_out)


def _yolo_row(found: LabelBox, photo: PhotoLabels, numbers: Mapping[str, int]) -> str:
    x1, y1, x2, y2 = found.box.relative_to(photo.width, photo.height)
    shares = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    return f"{numbers[found.label]} {' '.join(f'{share:.8f}' for share in shares)}\n"
