"""What the photos of an index can be filtered by: its fields, with their values or their ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sorce.mappings.conditions import attributes_of
from sorce.mappings.found import FoundIndex
from sorce.mappings.query import Json
from sorce.mappings.selection import regions_of

MAX_VALUES = 50

_TYPES = {"keyword": "keyword", "long": "integer", "double": "float", "date": "date", "boolean": "boolean"}
_DAY = "yyyy-MM-dd"


@dataclass(frozen=True, slots=True)
class FilterField:
    """A field of photos, by the name that the page's contract gives it. `path` is its name in the index."""

    name: str
    label: str
    type: str
    path: str
    in_regions: bool = False

    @property
    def has_values(self) -> bool:
        return self.type in ("keyword", "folder", "kind", "boolean")

    def aggregation(self) -> Json:
        """What is counted: values by photos, or the smallest and the largest."""
        if self.has_values:
            values: Json = {"terms": {"field": self.path, "size": MAX_VALUES}}
            if self.in_regions:
                values["aggs"] = {"photos": {"reverse_nested": {}}}
            return values
        if self.type == "geo":
            return {"value_count": {"field": self.path}}
        # Not `stats`: its numbers are too inexact for the days of a date.
        ends: Json = {name: {name: {"field": self.path}} for name in ("min", "max")}
        return {"filter": {"exists": {"field": self.path}}, "aggs": ends}

    def read(self, answer: Mapping[str, Any], folder: Callable[[str], str]) -> Json | None:
        """The field as JSON; None if no photo has it."""
        said: Json = {"name": self.name, "label": self.label, "type": self.type}
        if self.has_values:
            values = [[_value(self, each, folder), _photos(each)] for each in answer["buckets"]]
            return {**said, "values": values} if values else None
        if self.type == "geo":
            return {**said, "min": None, "max": None} if answer["value"] else None
        if not answer["doc_count"]:
            return None
        least, most = answer["min"], answer["max"]
        if self.type == "date":
            return {**said, "min": least["value_as_string"][:10], "max": most["value_as_string"][:10]}
        kind = int if self.type == "integer" else float
        return {**said, "min": kind(least["value"]), "max": kind(most["value"])}


def fields_of(found: FoundIndex) -> list[FilterField]:
    """The fields that this index's mapping has."""
    regions = regions_of(found)
    known = [
        FilterField("kinds", "kind of box", "kind", "regions.kind", in_regions=True),
        FilterField("folder", "folder", "folder", "folder"),
        FilterField("camera", "camera", "keyword", "camera"),
        FilterField("taken_on", "taken on", "date", "taken_on" if "taken_on" in found.fields else "taken_at"),
        FilterField("area", "share of the photo", "float", "regions.area", in_regions=True),
    ]
    if "keywords" in regions:
        known.append(FilterField("keywords", "keywords", "keyword", "keywords"))
    if "location" in regions:
        known.append(FilterField("location", "place", "geo", "location"))
    if found.recipe.has_quality:
        known.append(FilterField("quality", "quality of the box", "float", "regions.quality", in_regions=True))
    return [*known, *_attributes(found)]


def _attributes(found: FoundIndex) -> Iterator[FilterField]:
    for key, kind in sorted(attributes_of(regions_of(found)).items()):
        if kind in _TYPES:
            yield FilterField(f"attributes.{key}", key, _TYPES[kind], f"attributes.{key}")


def fields_body(fields: list[FilterField]) -> Json:
    """One search that reads all fields, and counts photos and regions (`Counts`)."""
    of_photos = {each.name: each.aggregation() for each in fields if not each.in_regions}
    of_regions = {each.name: each.aggregation() for each in fields if each.in_regions}
    nested = {"nested": {"path": "regions"}, "aggs": of_regions}
    return {"size": 0, "track_total_hits": True, "aggs": {**of_photos, "regions": nested}}


def read_fields(answer: Mapping[str, Any], fields: list[FilterField], folder: Callable[[str], str]) -> list[Json]:
    """From the answer to `fields_body`. `folder` says how a folder is shown."""
    found = answer["aggregations"]
    read = (each.read(found["regions"][each.name] if each.in_regions else found[each.name], folder) for each in fields)
    return [each for each in read if each is not None]


def _value(field: FilterField, bucket: Mapping[str, Any], folder: Callable[[str], str]) -> str:
    said = str(bucket.get("key_as_string", bucket["key"]))
    return folder(said) if field.type == "folder" else said


def _photos(bucket: Mapping[str, Any]) -> int:
    return int(bucket.get("photos", bucket)["doc_count"])
