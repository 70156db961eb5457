"""Conditions as clauses on `regions.*`, and the user attributes in an index's mapping."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any
from unicodedata import normalize

from sorce.errors import QueryError

Json = dict[str, Any]
Properties = Mapping[str, Any]
"""The types of the region fields in an index's mapping, by field name."""

_WORDS = {"long": "whole numbers", "double": "numbers", "date": "dates"}
_PARSERS: Mapping[str, Callable[[str], object]] = {"long": int, "double": float, "date": datetime.fromisoformat}
_TIME = r"T\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|[+-]\d\d:?\d\d)?"
_FORMS = {
    "long": re.compile(r"-?\d{1,19}", re.ASCII),
    "double": re.compile(r"-?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE),
    "date": re.compile(rf"\d{{4}}-\d\d-\d\d({_TIME})?", re.ASCII),
}
"""What OpenSearch reads as Python does: it takes the date 20260131, for one, for milliseconds."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A clause, and the words that describe it to the user."""

    label: str
    clause: Json


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on a user attribute: `key=value`, `key>=value` or `key<=value`."""

    key: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Where:
        """Raises QueryError."""
        parts = re.fullmatch(r"([^=<>]+)(=|>=|<=)(.*)", text, re.DOTALL)
        if parts is None:
            raise QueryError(f"condition {text!r} is not understood; write key=value, key>=value or key<=value.")
        return cls(*parts.groups())

    def condition(self) -> Condition:
        field, label = f"regions.attributes.{self.key}", f"where {self.key}{self.sign}{self.value}"
        if self.sign != "=":
            return Condition(label, {"range": {field: {"gte" if self.sign == ">=" else "lte": self.value}}})
        forms = spellings(self.value)
        return Condition(label, {"term": {field: forms[0]}} if len(forms) == 1 else {"terms": {field: forms}})

    def check(self, regions: Properties, index: str) -> None:
        """Raises QueryError if the index has no such attribute, or one of another type."""
        known = attributes_of(regions)
        if self.key not in known:
            names = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise QueryError(f"index '{index}' has no attribute {self.key!r}; {names}.")
        kind = known[self.key]
        if self.sign != "=" and kind not in _WORDS:
            raise QueryError(
                f"attribute {self.key!r} is text, so {self.sign} cannot compare it; write "
                f"{self.key}=value, or bring it in as a number with --set {self.key}:int=3."
            )
        if kind in _WORDS and not _is_a(kind, self.value):
            example = ", as in 2026-01-31 or 2026-01-31T10:00Z" if kind == "date" else ""
            raise QueryError(f"attribute {self.key!r} holds {_WORDS[kind]}{example}; {self.value!r} is not one.")


@dataclass(frozen=True, slots=True)
class Near:
    """A condition on where a photo was taken: at most `kilometres` from a place, given in degrees."""

    latitude: float
    longitude: float
    kilometres: float

    @classmethod
    def parse(cls, text: str) -> Near:
        """Reads `LAT,LON,KM`. Raises QueryError."""
        try:
            place = cls(*(float(number) for number in text.split(",")))
        except (TypeError, ValueError):
            place = cls(inf, inf, inf)
        # Written so that NaN fails, too.
        if not (abs(place.latitude) <= 90 and abs(place.longitude) <= 180 and 0 < place.kilometres < inf):
            raise QueryError(
                f"near is {text!r}, which is not understood; write LAT,LON,KM in degrees and kilometres, such as "
                "48.8584,2.2945,5."
            )
        return place

    def condition(self) -> Condition:
        point = {"lat": self.latitude, "lon": self.longitude}
        clause = {"geo_distance": {"distance": f"{self.kilometres}km", "regions.location": point}}
        return Condition(f"near {self.latitude:g},{self.longitude:g} within {self.kilometres:g} km", clause)


def attributes_of(regions: Properties) -> dict[str, str]:
    """The type of each user attribute, by its name."""
    return (
        {key: str(mapped.get("type", "object")) for key, mapped in regions["attributes"].get("properties", {}).items()}
        if "attributes" in regions
        else {}
    )


def _is_a(kind: str, text: str) -> bool:
    """Whether the text is a value of an attribute of this type."""
    try:
        return _FORMS[kind].fullmatch(text) is not None and _PARSERS[kind](text) not in (inf, -inf)
    except ValueError:
        return False


def spellings(text: str) -> list[str]:
    """The text as given, then its other Unicode forms: a disk may hold another form than the user types."""
    return list(dict.fromkeys([text, normalize("NFC", text), normalize("NFD", text)]))


def in_folder(folder: str) -> Json:
    """Photos in the folder and its subfolders."""
    places = spellings(folder.rstrip("/"))
    below = [
        each
        for place in places
        for each in ({"term": {"regions.folder": place}}, {"prefix": {"regions.folder": f"{place}/"}})
    ]
    return {"bool": {"should": below, "minimum_should_match": 1}}


def on_days(since: str | None, until: str | None, regions: Properties) -> Json:
    """Photos taken on these days, both included, by the camera's clock.

    If a document has no local day yet (it was written by schema 1), its UTC time counts.
    """
    by_instant = between("regions.taken_at", since, until)
    if "taken_on" not in regions:
        return by_instant
    of_schema_1 = {"must_not": [{"exists": {"field": "regions.taken_on"}}], "filter": [by_instant]}
    ways = [between("regions.taken_on", since, until), {"bool": of_schema_1}]
    return {"bool": {"should": ways, "minimum_should_match": 1}}


def between(field: str, least: float | str | None, most: float | str | None) -> Json:
    return {"range": {field: {name: value for name, value in (("gte", least), ("lte", most)) if value is not None}}}
