"""A photo and its regions as the JSON document that is indexed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sorce.mappings.values import Photo, Region


def document(photo: Photo, regions: Sequence[Region], ingested_at: datetime) -> dict[str, Any]:
    """The document of one photo. Vectors stay numpy arrays: orjson writes them without a Python loop."""
    file = photo.file
    shared: dict[str, Any] = {"folder": file.folder}
    if photo.taken_at is not None:
        shared["taken_at"] = photo.taken_at.isoformat()
    if photo.camera is not None:
        shared["camera"] = photo.camera
    if photo.attributes:
        shared["attributes"] = {
            key: value.isoformat() if isinstance(value, datetime) else value for key, value in photo.attributes.items()
        }
    return {
        "photo_id": file.photo_id,
        "uri": file.uri,
        "file_name": file.file_name,
        "content_hash": file.content_hash,
        "bytes": file.bytes,
        "width": photo.width,
        "height": photo.height,
        "ingested_at": ingested_at.isoformat(),
        **shared,
        "regions": [_region(photo, number, region, shared) for number, region in enumerate(regions)],
    }


def _region(photo: Photo, number: int, region: Region, shared: dict[str, Any]) -> dict[str, Any]:
    box = region.box
    body = {
        "id": number,
        "kind": region.kind,
        "x1": box.x1,
        "y1": box.y1,
        "x2": box.x2,
        "y2": box.y2,
        "area": box.share_of(photo.width, photo.height),
        "quality": region.quality,
        **shared,
        "vec": region.vec,
    }
    if region.coherence is not None:
        body["coherence"] = region.coherence
    if region.hubness is not None:
        body["hubness"] = region.hubness
    return body
