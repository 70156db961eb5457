"""A ZIP of photos and crops, with their labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from math import ceil, floor
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from zipfile import ZipFile

from sorce.errors import BadPhoto
from sorce.mappings import Hit, Picture, Rejected
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.uris import Root, content_below
from sorce.plugin.query.archive import add
from sorce.plugin.query.export_names import all_unique, safe_part, unique
from sorce.plugin.query.labels import LabelBox, PhotoLabels, coco

QUALITY = 95
"""JPEG quality of a crop."""
LARGEST = 65_500
"""Maximum pixels of a side: a JPEG holds no more."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedPhoto:
    """The bytes of a photo's file, and its picture."""

    content: bytes
    picture: Picture


OpenPhoto = Callable[[Hit], OpenedPhoto]
"""Opens the photo of a hit. Raises BadPhoto for one that may not be opened."""


def photos_below(roots: Sequence[Root], decoders: DecoderPool) -> OpenPhoto:
    """Opens photos below these folders, links followed. A file that is no picture is not given out."""

    def opened(hit: Hit) -> OpenedPhoto:
        content = content_below(hit.uri, roots)
        return OpenedPhoto(content, decoders.picture(content, hit.uri))

    return opened


def pack(
    stream: BinaryIO, hits: Sequence[Hit], photos: Sequence[PhotoLabels], open_photo: OpenPhoto, told: Mapping[str, Any]
) -> tuple[Rejected, ...]:
    """Writes `photos/NAME`, `crops/LABEL/NAME.jpg`, `coco.json` (the boxes in these photos) and `hits.json`.

    A photo is packed as its file is, and a crop shows what is inside its box. Returns the photos that could not be
    opened, or have changed since they were ingested. One photo is in memory at a time.
    """
    by_id = {hit.photo_id: hit for hit in hits}
    left_out: list[Rejected] = []
    packed: list[PhotoLabels] = []
    crops: set[str] = set()
    with ZipFile(stream, "w") as archive:
        for photo, name in zip(photos, all_unique(each.name for each in photos), strict=True):
            try:
                opened = open_photo(by_id[photo.photo_id])
                _refuse_changed(photo, opened.picture)
            except BadPhoto as error:
                left_out.append(Rejected(photo.name, str(error)))
                continue
            add(archive, f"photos/{name}", opened.content, pack=False)
            packed.append(replace(photo, name=f"photos/{name}"))
            for box in photo.boxes:
                file = f"crops/{safe_part(box.label)}/{PurePosixPath(name).stem}.jpg"
                add(archive, unique(file, crops), _crop(opened.picture, box), pack=False)
        add(archive, "coco.json", json.dumps(coco(packed), ensure_ascii=False))
        add(archive, "hits.json", json.dumps(told, ensure_ascii=False))
    return tuple(left_out)


def _refuse_changed(photo: PhotoLabels, picture: Picture) -> None:
    if picture.size != (photo.width, photo.height):
        raise BadPhoto(
            f"has {picture.width} x {picture.height} pixels, and had {photo.width} x {photo.height} when it was "
            "ingested; ingest it again"
        )


def _crop(picture: Picture, found: LabelBox) -> bytes:
    """The part inside the box, of whole pixels; smaller if a JPEG could not hold it."""
    x1, y1, x2, y2 = found.box.as_tuple()
    part = picture.image.crop((floor(x1), floor(y1), ceil(x2), ceil(y2)))
    if max(part.size) > LARGEST:
        part.thumbnail((LARGEST, LARGEST))
    written = BytesIO()
    part.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()
