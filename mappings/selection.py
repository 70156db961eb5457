"""A choice of photos of an index, by their ids, by conditions, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sorce.errors import QueryError
from sorce.mappings.conditions import Properties
from sorce.mappings.filters import Filter
from sorce.mappings.found import FoundIndex
from sorce.mappings.option import listed

Json = dict[str, Any]


@dataclass(frozen=True)
class Selection:
    """The photos of these ids (None: of any id) with at least one region that meets all conditions of the filter.

    Conditions on the photo, such as its folder or an attribute, hold for all its regions or for none. Raises QueryError
    for ids that are not texts, and for a filter that is none.
    """

    photo_ids: Sequence[str] | None = None
    filter: Filter = field(default_factory=Filter)

    def __post_init__(self) -> None:
        if not isinstance(self.filter, Filter):
            raise QueryError(f"filter is {self.filter!r}; give a sorce.Filter.")
        if self.photo_ids is None:
            return
        ids = listed("photo_ids", self.photo_ids)
        refuse_unless_ids(ids)
        object.__setattr__(self, "photo_ids", ids)

    @property
    def is_all(self) -> bool:
        """Whether it leaves out no photo."""
        return self.photo_ids is None and self.filter == Filter()

    def query(self, found: FoundIndex) -> Json:
        """The query for the photos, if it is sent to the indices themselves: the alias's filter is part of it.

        Raises QueryError for a condition that the index cannot meet.
        """
        regions = regions_of(found)
        self.filter.check(regions, found.asked)
        clauses = found.filter_clauses
        if self.photo_ids is not None:
            clauses.append({"ids": {"values": list(self.photo_ids)}})
        if conditions := self.filter.clauses(regions):
            clauses.append({"nested": {"path": "regions", "query": {"bool": {"filter": conditions}}}})
        return {"bool": {"filter": clauses}}


def refuse_unless_ids(photo_ids: Sequence[Any]) -> None:
    """Raises QueryError for a photo id that is no text, or empty."""
    if wrong := [each for each in photo_ids if not isinstance(each, str) or not each]:
        raise QueryError(f"{wrong[0]!r} is not a photo id; give a text that is not empty.")


def regions_of(found: FoundIndex) -> Properties:
    """The fields of regions in the index's mapping."""
    regions: Properties = found.fields.get("regions", {}).get("properties", {})
    return regions
