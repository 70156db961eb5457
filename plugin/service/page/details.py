"""What hits show beyond the search's own answer: asked for the hits of one answer together, when they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sorce.mappings.lookup import ATTRIBUTES
from sorce.mappings.query import Json
from sorce.mappings.regions import by_photo_ids

VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Details:
    """`version` changes with the file's content. Days and times are texts."""

    version: str = ""
    taken_on: str | None = None
    taken_at: str | None = None
    camera: str | None = None
    keywords: Sequence[str] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> Json:
        return {
            "version": self.version,
            "taken_on": self.taken_on,
            "taken_at": self.taken_at,
            "camera": self.camera,
            "keywords": list(self.keywords),
            "attributes": dict(self.attributes),
        }


def details_body(photo_ids: Sequence[str]) -> Json:
    """The search for the details of these photos."""
    # Doc values: the source of a photo holds the vectors of all its regions.
    fields: list[Any] = ["content_hash", "taken_at", "camera", "keywords", f"{ATTRIBUTES}*"]
    return fields_body(photo_ids, [*fields, {"field": "taken_on", "format": "yyyy-MM-dd"}])


def fields_body(photo_ids: Sequence[str], fields: Sequence[Any]) -> Json:
    """The search for some fields of these photos."""
    return {
        "size": len(photo_ids),
        "track_total_hits": False,
        "query": by_photo_ids(photo_ids),
        "_source": False,
        "docvalue_fields": fields,
    }


def read_details(answer: Mapping[str, Any]) -> dict[str, Details]:
    """By photo id, from the answer to `details_body`."""
    return {str(hit["_id"]): _details(hit.get("fields", {})) for hit in answer["hits"]["hits"]}


def _details(fields: Mapping[str, Sequence[Any]]) -> Details:
    def first(name: str) -> Any:
        return fields.get(name, [None])[0]

    return Details(
        version=str(first("content_hash") or "")[:VERSION_DIGITS],
        taken_on=first("taken_on"),
        taken_at=first("taken_at"),
        camera=first("camera"),
        keywords=[str(each) for each in fields.get("keywords", ())],
        attributes={
            name.removeprefix(ATTRIBUTES): values[0] for name, values in fields.items() if name.startswith(ATTRIBUTES)
        },
    )
