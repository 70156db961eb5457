"""A photo and its regions as the JSON document that is indexed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sorce.mappings.values import Attribute, Photo, PhotoFile, Region


def document(
    photo: Photo, regions: Sequence[Region], ingested_at: datetime, recipe_hash: str | None = None
) -> dict[str, Any]:
    """The document of one photo. Vectors stay numpy arrays: orjson writes them without a Python loop.

    `recipe_hash` is the hash of the recipe that made the regions; None if the index has no field for it (schema 1).
    """
    file = photo.file
    shared: dict[str, Any] = {"folder": file.folder}
    if photo.taken_at is not None:
        shared["taken_at"] = photo.taken_at.isoformat()
        if recipe_hash is not None:
            shared["taken_on"] = str(photo.taken_on)
    if photo.camera is not None:
        shared["camera"] = photo.camera
    if recipe_hash is not None:
        shared |= _described(photo)
    if photo.attributes:
        shared["attributes"] = attributes_json(photo.attributes)
    pictured = {} if photo.thumbnail is None else {"thumbnail": b64encode(photo.thumbnail).decode()}
    made = {} if recipe_hash is None else {"recipe_hash": recipe_hash, **file_fields(file)}
    return {
        "photo_id": file.photo_id,
        "uri": file.uri,
        "file_name": file.file_name,
        "content_hash": file.content_hash,
        "bytes": file.bytes,
        "width": photo.width,
        "height": photo.height,
        "ingested_at": ingested_at.isoformat(),
        **made,
        **pictured,
        **shared,
        "regions": [_region(photo, number, region, shared) for number, region in enumerate(regions)],
    }


def _described(photo: Photo) -> dict[str, Any]:
    """What the photo says of itself in fields that schema 1 does not have."""
    found: dict[str, Any] = {"keywords": list(photo.keywords)} if photo.keywords else {}
    if photo.location is not None:
        latitude, longitude = photo.location
        found["location"] = {"lat": latitude, "lon": longitude}
    return found


def attributes_json(attributes: Mapping[str, Attribute]) -> dict[str, str | int | float]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in attributes.items()}


def file_fields(file: PhotoFile) -> dict[str, str]:
    """The fields that schema 2 adds and that are known without decoding the file."""
    fields = {"etag": file.etag, "modified_at": None if file.modified_at is None else file.modified_at.isoformat()}
    return {name: value for name, value in fields.items() if value is not None}


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
