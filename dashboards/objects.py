"""Saved objects of OpenSearch Dashboards, and the NDJSON that its import reads.

Their attributes are those that OpenSearch Dashboards 2.19 and 3.x both take (`sorce.dashboards.rules` checks them).
There is no `migrationVersion`: then Dashboards runs all migrations, and no version refuses the object as too new.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]

TYPES = ("dashboard", "visualization", "search", "index-pattern")
"""What sorce makes. A later type is named by an earlier one, so this is the order for deleting, too."""

DATA = "kibanaSavedObjectMeta.searchSourceJSON.index"
"""The name of the reference to the index pattern that an object reads from."""

LUCENE = "lucene"


@dataclass(frozen=True)
class Reference:
    name: str
    type: str
    id: str

    def as_json(self) -> Json:
        return {"name": self.name, "type": self.type, "id": self.id}


@dataclass(frozen=True)
class SavedObject:
    """One saved object; `attributes` hold JSON as strings where Dashboards wants that."""

    type: str
    id: str
    attributes: Json
    references: Sequence[Reference] = ()

    def marked(self) -> SavedObject:
        """With a hash of all that it holds in its description, if its type has one: so a reader sees what wrote it."""
        if "description" not in self.attributes:
            return self
        said = json.dumps(self.as_json(), sort_keys=True).encode()
        mark = f"Made by sorce, build {hashlib.sha256(said).hexdigest()[:12]}."
        description = f"{self.attributes['description']} {mark}".lstrip()
        return replace(self, attributes={**self.attributes, "description": description})

    def as_json(self) -> Json:
        references = [each.as_json() for each in self.references]
        return {"id": self.id, "type": self.type, "attributes": self.attributes, "references": references}


@dataclass(frozen=True)
class Ids:
    """The ids of one index's objects: `sorce-PART-INDEX`. A part has no hyphen, so no two indices share an id."""

    index: str

    def of(self, part: str) -> str:
        return f"sorce-{part}-{self.index}"

    def made(self, found: str) -> bool:
        """Whether an object with this id is one of this index's."""
        return re.fullmatch(rf"sorce-[a-z0-9]+-{re.escape(self.index)}", found) is not None


@dataclass(frozen=True)
class DataSource:
    """What a visualization or a saved search reads: an index pattern, narrowed by a query in Lucene's language."""

    pattern: str | None = None
    query: str = ""

    @property
    def meta(self) -> Json:
        text: Json = {"query": {"query": self.query, "language": LUCENE}, "filter": []}
        if self.pattern is not None:
            text["indexRefName"] = DATA
        return {"searchSourceJSON": json.dumps(text)}

    @property
    def references(self) -> list[Reference]:
        return [] if self.pattern is None else [Reference(DATA, "index-pattern", self.pattern)]


def ndjson(objects: Iterable[SavedObject]) -> bytes:
    """A line for each object, as the import reads them."""
    return b"".join(json.dumps(each.as_json()).encode() + b"\n" for each in objects)


def index_pattern(
    object_id: str, title: str, time_field: str | None, formats: Mapping[str, Json] | None = None
) -> SavedObject:
    """`formats` are field formatters by field name. The list of fields is left out: Dashboards asks the cluster."""
    attributes: Json = {"title": title}
    if time_field is not None:
        attributes["timeFieldName"] = time_field
    if formats:
        attributes["fieldFormatMap"] = json.dumps(formats)
    return SavedObject("index-pattern", object_id, attributes)


@dataclass(frozen=True)
class PanelForm:
    """What a visualization shows: its type, its parameters, its aggregations in the form of Dashboards' editor."""

    type: str
    params: Json
    aggs: Sequence[Json] = ()


def visualization(
    object_id: str,
    title: str,
    form: PanelForm,
    source: DataSource = DataSource(),
    more: Sequence[Reference] = (),
) -> SavedObject:
    state = {"title": title, "type": form.type, "params": form.params, "aggs": list(form.aggs)}
    attributes = {
        "title": title,
        "visState": json.dumps(state),
        "uiStateJSON": "{}",
        "description": "",
        "version": 1,
        "kibanaSavedObjectMeta": source.meta,
    }
    return SavedObject("visualization", object_id, attributes, [*source.references, *more])


def saved_search(
    object_id: str, title: str, source: DataSource, columns: Sequence[str], sort: Sequence[str] = ()
) -> SavedObject:
    """`sort` is a field and `asc` or `desc`, or empty."""
    attributes = {
        "title": title,
        "description": "",
        "hits": 0,
        "columns": list(columns),
        "sort": [list(sort)] if sort else [],
        "version": 1,
        "kibanaSavedObjectMeta": source.meta,
    }
    return SavedObject("search", object_id, attributes, source.references)


@dataclass(frozen=True)
class Place:
    """Where a panel stands on a dashboard of 48 columns; a row is 20 pixels high."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Board:
    """A dashboard: its panels with their places, and the time range that it opens with."""

    id: str
    title: str
    description: str
    since: str
    panels: Sequence[tuple[SavedObject, Place]] = field(default_factory=list)
    refresh_seconds: int = 0

    def as_object(self) -> SavedObject:
        attributes = {
            "title": self.title,
            "description": self.description,
            "hits": 0,
            "version": 1,
            "timeRestore": True,
            "timeFrom": self.since,
            "timeTo": "now",
            "refreshInterval": {"pause": self.refresh_seconds == 0, "value": 1000 * self.refresh_seconds},
            "optionsJSON": json.dumps({"hidePanelTitles": False, "useMargins": True}),
            "panelsJSON": json.dumps([_panel(number, place) for number, (_, place) in enumerate(self.panels)]),
            "kibanaSavedObjectMeta": DataSource().meta,
        }
        references = [Reference(f"panel_{n}", each.type, each.id) for n, (each, _) in enumerate(self.panels)]
        return SavedObject("dashboard", self.id, attributes, references)


def _panel(number: int, place: Place) -> Json:
    key = str(number + 1)
    return {
        "version": "2.19.0",
        "gridData": {"x": place.x, "y": place.y, "w": place.w, "h": place.h, "i": key},
        "panelIndex": key,
        "embeddableConfig": {},
        "panelRefName": f"panel_{number}",
    }
