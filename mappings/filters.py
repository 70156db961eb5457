"""What may be found: conditions on the region and on its photo, as clauses on `regions.*`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sorce.errors import QueryError

Json = dict[str, Any]

MOST_BYTES = 990
"""Of one condition, in UTF-8: OpenSearch 2.19 takes no longer prefix, and the memory for one grows fast."""


@dataclass(frozen=True)
class Filter:
    """All conditions must hold for the region that is shown. Areas are shares of the photo, 0..1; dates ISO 8601.
    Raises QueryError for what no index can hold.

    `folder` takes in the folders below it. `where` are conditions on user attributes: `key=value`, `key>=3`,
    `key<=2026-01-31`.
    """

    kinds: Sequence[str] = ()
    min_area: float | None = None
    max_area: float | None = None
    min_quality: float | None = None
    folder: str | None = None
    camera: str | None = None
    since: str | None = None
    until: str | None = None
    where: Sequence[str] = ()

    def __post_init__(self) -> None:
        given = (*self.kinds, self.folder, self.camera, self.since, self.until, *self.where)
        for text in filter(None, given):
            refuse_half("a condition", text)
            if (size := len(text.encode())) > MOST_BYTES:
                raise QueryError(f"a condition of {size} bytes is too long; use at most {MOST_BYTES}.")

    def clauses(self) -> list[Json]:
        """For `Query.filter`; empty where there is no condition."""
        found: list[Json] = []
        if self.kinds:
            found.append({"terms": {"regions.kind": list(self.kinds)}})
        if self.folder is not None:
            folder = self.folder.rstrip("/")
            below = [{"term": {"regions.folder": folder}}, {"prefix": {"regions.folder": f"{folder}/"}}]
            found.append({"bool": {"should": below, "minimum_should_match": 1}})
        if self.camera is not None:
            found.append({"term": {"regions.camera": self.camera}})
        found += _range("regions.area", self.min_area, self.max_area)
        found += _range("regions.quality", self.min_quality, None)
        found += _range("regions.taken_at", self.since, self.until)
        found += [_condition(text) for text in self.where]
        return found


def refuse_half(what: str, text: str) -> None:
    """Raises QueryError for what cannot be sent as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"{what} holds half a character (a lone surrogate, or bytes that are not UTF-8).") from error


def _range(field: str, least: float | str | None, most: float | str | None) -> list[Json]:
    bounds = {name: value for name, value in (("gte", least), ("lte", most)) if value is not None}
    return [{"range": {field: bounds}}] if bounds else []


def _condition(text: str) -> Json:
    parts = re.fullmatch(r"([^=<>]+)(=|>=|<=)(.*)", text, re.DOTALL)
    if parts is None:
        raise QueryError(f"condition {text!r} is not understood; write key=value, key>=value or key<=value.")
    key, sign, value = parts.groups()
    field = f"regions.attributes.{key}"
    if sign == "=":
        return {"term": {field: value}}
    return {"range": {field: {"gte" if sign == ">=" else "lte": value}}}
