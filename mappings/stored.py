"""A photo as an index holds it, read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from sorce.mappings.values import Attribute, Box, Kind, Vector

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class StoredRegion:
    """A region of a stored photo. `box` is in pixels of the upright photo, `area` its share of the photo, 0..1.

    `vec` is float32 of shape (dimension,), if it was asked for.
    """

    region_id: int
    box: Box
    kind: Kind
    area: float
    quality: float
    vec: Vector | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StoredPhoto:
    """A photo of an index. Width and height are in pixels; region 0 is the whole photo.

    `location` is latitude and longitude in degrees. Dates among the attributes are texts, as the index holds them.
    """

    photo_id: str
    uri: str
    file_name: str
    folder: str
    width: int
    height: int
    content_hash: str
    bytes: int
    taken_at: datetime | None
    camera: str | None
    keywords: tuple[str, ...]
    location: tuple[float, float] | None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    regions: tuple[StoredRegion, ...] = ()


def stored_body(photo_id: str, vectors: bool) -> Json:
    """The search for one photo. A get by id would ignore the filter of an alias."""
    excluded = [] if vectors else ["regions.vec"]
    return {"size": 1, "query": {"ids": {"values": [photo_id]}}, "_source": {"excludes": excluded}}


def read_stored(answer: Mapping[str, Any]) -> StoredPhoto | None:
    """The photo of an answer to `stored_body`; None if there is none. Raises ValueError for a malformed document."""
    hits = answer["hits"]["hits"]
    if not hits:
        return None
    source = hits[0].get("_source", {})
    try:
        return _photo(source)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _photo(source: Mapping[str, Any]) -> StoredPhoto:
    taken, place = source.get("taken_at"), source.get("location")
    return StoredPhoto(
        photo_id=_text(source, "photo_id"),
        uri=_text(source, "uri"),
        file_name=_text(source, "file_name"),
        folder=_text(source, "folder"),
        width=int(source["width"]),
        height=int(source["height"]),
        content_hash=_text(source, "content_hash"),
        bytes=int(source["bytes"]),
        taken_at=None if taken is None else datetime.fromisoformat(taken),
        camera=None if source.get("camera") is None else _text(source, "camera"),
        keywords=_texts(source.get("keywords")),
        location=None if place is None else (float(place["lat"]), float(place["lon"])),
        attributes=dict(source.get("attributes") or {}),
        regions=tuple(_region(each) for each in _list(source["regions"])),
    )


def _region(source: Mapping[str, Any]) -> StoredRegion:
    vector = source.get("vec")
    return StoredRegion(
        region_id=int(source["id"]),
        box=Box(*(float(source[side]) for side in ("x1", "y1", "x2", "y2"))),
        kind=_text(source, "kind"),  # type: ignore[arg-type]
        area=float(source["area"]),
        quality=float(source["quality"]),
        vec=None if vector is None else np.asarray(vector, np.float32),
    )


def _text(source: Mapping[str, Any], name: str) -> str:
    # A field of this type also accepts numbers and lists.
    value = source[name]
    if not isinstance(value, str):
        raise ValueError(f"its {name} is {value!r}, which is not text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    """The words of a list; OpenSearch accepts a single one in its place."""
    several = [values] if isinstance(values, str) else values or ()
    return tuple(map(str, several))


def _list(values: Any) -> Sequence[Mapping[str, Any]]:
    # OpenSearch accepts a single object in place of a list.
    return [values] if isinstance(values, Mapping) else list(values)
