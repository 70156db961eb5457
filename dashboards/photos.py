"""The dashboard "Photos": a question in the query bar, a grid of the photos that answer it, and what the index holds.

The bar's text is a question, so no photo's field holds its words: a panel that took it as a filter would be empty. So
all counts are Vega panels that take the filters, the controls and the time range, and leave the text out. Only the
table cannot: Dashboards gives each saved search the bar's text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from sorce.dashboards.grid import COLUMNS, ROWS, Thumbnails, photo_grid
from sorce.dashboards.objects import (
    Board,
    DataSource,
    Ids,
    Json,
    PanelForm,
    Place,
    Reference,
    SavedObject,
    index_pattern,
    saved_search,
    visualization,
)
from sorce.dashboards.question import GridSearch, filters
from sorce.dashboards.vega import bars, over_time, vega_panel
from sorce.mappings.conditions import attributes_of
from sorce.mappings.found import FoundIndex
from sorce.mappings.query import Version

SIZE, BOXES = COLUMNS * ROWS, 3
SINCE = "now-30y"
MAX_ATTRIBUTES = 8
"""Panels and controls of user attributes; further attributes get none."""

MAX_BARS = 12
SMALLEST = [0.0001, 0.001, 0.01, 0.1]
"""The bounds between the sizes of regions, as shares of the photo."""

NUMBERS = ("long", "double")
COUNTED = (*NUMBERS, "keyword", "date")
"""The types that `sorce ingest --set` gives to attributes."""


@dataclass(frozen=True)
class PhotosView:
    """What the dashboard is built for.

    `regions` is how many there are, `has_thumbnails` whether photos hold one (`sorce ingest --thumbnails`), and `page`
    the address of sorce's page without a slash at the end, if there is one. `signature` is the part of its addresses
    that lets Dashboards show thumbnails, if it needs one.
    """

    found: FoundIndex
    version: Version
    regions: int
    has_thumbnails: bool = False
    time_field: str = "ingested_at"
    page: str | None = None
    signature: str = ""

    @property
    def ids(self) -> Ids:
        return Ids(self.found.asked)

    @property
    def grid(self) -> GridSearch:
        return GridSearch(self.found.asked, self.version, self.regions, self.time_field, SIZE, BOXES)

    @property
    def thumbnails(self) -> Thumbnails:
        signed = f"&{self.signature}" if self.signature else ""
        return Thumbnails(self.page, self.has_thumbnails, f"&index={quote(self.found.asked, safe='')}{signed}")

    @property
    def attributes(self) -> Mapping[str, str]:
        """Types of the user attributes that get a panel, by name. A mapping of others may have types without counts."""
        counted = {name: kind for name, kind in attributes_of(self.found.fields).items() if kind in COUNTED}
        return dict(sorted(counted.items())[:MAX_ATTRIBUTES])

    @property
    def photo_link(self) -> str:
        """Where the page shows one photo, for the formatter of URLs."""
        return f"{self.page}/?index={quote(self.found.asked, safe='')}&photo={{{{value}}}}"


def photos_objects(view: PhotosView) -> list[SavedObject]:
    """The index pattern, the panels, and the dashboard itself as the last one."""
    ids, index = view.ids, view.found.asked
    pattern = index_pattern(ids.of("pattern"), index, view.time_field, _formats(view))
    grid = visualization(ids.of("grid"), f"{index}: photos", vega_panel(photo_grid(view.grid, view.thumbnails)))
    help_ = visualization(ids.of("help"), f"{index}: how to ask", _help(view))
    controls = _controls(view)
    table = saved_search(
        ids.of("list"),
        f"{index}: table (follows the filters; clear the question to see rows)",
        DataSource(pattern.id),
        [*_pictures(view), "photo_id", "file_name", "folder", "taken_at", "camera"],
    )
    counts = _counts(view)
    panels = [(help_, Place(0, 0, 12, 20)), (controls, Place(0, 20, 12, 28)), (grid, Place(12, 0, 36, 48))]
    for number, each in enumerate(counts):
        panels.append((each, Place(12 * (number % 4), 48 + 14 * (number // 4), 12, 14)))
    panels.append((table, Place(0, 48 + 14 * (-(-len(counts) // 4)), 48, 24)))
    said = "Type what you look for into the query bar, with Lucene as its language."
    board = Board(ids.of("board"), f"sorce: photos of {index}", said, SINCE, panels)
    return [pattern, help_, controls, grid, *counts, table, board.as_object()]


def _formats(view: PhotosView) -> dict[str, Json]:
    """Formatters of URLs: pictures from the page or from the index, and the link to the page."""
    formats: dict[str, Json] = {}
    if view.thumbnails.stored:
        formats["thumbnail"] = _image("data:image/webp;base64,{{rawValue}}")
    if view.page is not None:
        formats["_id"] = _image(view.thumbnails.address("{{value}}", 220))
        link = {"type": "a", "urlTemplate": view.photo_link, "labelTemplate": "open", "openLinkInCurrentTab": False}
        formats["photo_id"] = {"id": "url", "params": link}
    return formats


def _image(template: str) -> Json:
    # A higher picture would be cut: rows of Discover are 115 pixels high at most.
    return {"id": "url", "params": {"type": "img", "urlTemplate": template, "width": "110", "height": "110"}}


def _pictures(view: PhotosView) -> list[str]:
    """The column that shows pictures: with the fewest settings first."""
    if view.thumbnails.stored:
        return ["thumbnail"]
    return ["_id"] if view.page is not None else []


def _counts(view: PhotosView) -> list[SavedObject]:
    ids, index = view.ids, view.found.asked
    made = [
        ("time", "photos over time", over_time(index, _body(view, {"taken": _dates("taken_at")}), _buckets("taken"))),
        ("folder", "folders", _values(view, "folder")),
        ("camera", "cameras", _values(view, "camera")),
        ("kind", "regions by kind", _regions_by_kind(view)),
        ("size", "regions by size", _regions_by_size(view)),
    ]
    for number, (name, kind) in enumerate(view.attributes.items()):
        field = f"attributes.{name}"
        dated = over_time(index, _body(view, {"taken": _dates(field)}), _buckets("taken"))
        made.append((f"attribute{number}", name, dated if kind == "date" else _values(view, field)))
    return [visualization(ids.of(part), f"{index}: {title}", vega_panel(spec)) for part, title, spec in made]


def _body(view: PhotosView, aggregations: Json) -> Json:
    return {"size": 0, "query": {"bool": filters(view.time_field)}, "aggs": aggregations}


def _buckets(*path: str) -> str:
    return ".".join(["aggregations", *path, "buckets"])


def _dates(field: str) -> Json:
    return {"auto_date_histogram": {"field": field, "buckets": 30, "minimum_interval": "day"}}


def _values(view: PhotosView, field: str) -> Json:
    """The most frequent values of a field of the photo; a click filters by one."""
    body = _body(view, {"values": {"terms": {"field": field, "size": MAX_BARS}}})
    clicked = f"{{match_phrase: {{{json.dumps(field)}: datum.key}}}}"
    return bars(view.found.asked, body, _buckets("values"), "'' + datum.key", clicked)


def _nested(view: PhotosView, aggregations: Json) -> Json:
    return _body(view, {"regions": {"nested": {"path": "regions"}, "aggs": aggregations}})


def _regions_by_kind(view: PhotosView) -> Json:
    body = _nested(view, {"kinds": {"terms": {"field": "regions.kind"}}})
    return bars(view.found.asked, body, _buckets("regions", "kinds"), "datum.key")


def _regions_by_size(view: PhotosView) -> Json:
    bounds = [0.0, *SMALLEST]
    ranges: list[Json] = [
        {"from": low, "to": high, "key": f"{100 * low:g} to {100 * high:g} %"}
        for low, high in zip(bounds, SMALLEST, strict=False)
    ]
    ranges.append({"from": SMALLEST[-1], "key": f"over {100 * SMALLEST[-1]:g} %"})
    body = _nested(view, {"sizes": {"range": {"field": "regions.area", "ranges": ranges}}})
    return bars(view.found.asked, body, _buckets("regions", "sizes"), "datum.key")


def _controls(view: PhotosView) -> SavedObject:
    """Lists and ranges of the photo's own fields; on fields of regions a control does not filter rightly."""
    fields = {"folder": "keyword", "camera": "keyword"}
    fields |= {f"attributes.{name}": kind for name, kind in view.attributes.items() if kind != "date"}
    controls = [_control(number, name, kind) for number, (name, kind) in enumerate(fields.items())]
    names = [control["indexPatternRefName"] for control in controls]
    pattern = view.ids.of("pattern")
    params = {"controls": controls, "updateFiltersOnChange": False, "useTimeFilter": False, "pinFilters": False}
    return visualization(
        view.ids.of("controls"),
        f"{view.found.asked}: filters",
        PanelForm("input_control_vis", params),
        more=[Reference(name, "index-pattern", pattern) for name in names],
    )


def _control(number: int, field: str, kind: str) -> Json:
    range_ = {"decimalPlaces": 2 if kind == "double" else 0, "step": 0.01 if kind == "double" else 1}
    list_ = {"type": "terms", "multiselect": True, "dynamicOptions": True, "size": 5, "order": "desc"}
    return {
        "id": f"control{number}",
        "indexPatternRefName": f"control_{number}_index_pattern",
        "fieldName": field,
        "parent": "",
        "label": field.removeprefix("attributes."),
        "type": "range" if kind in NUMBERS else "list",
        "options": range_ if kind in NUMBERS else list_,
    }


def _help(view: PhotosView) -> PanelForm:
    lines = [
        "**Type what you look for** into the query bar above, such as `a small red umbrella`. Its language must be "
        "**Lucene** (the button at its right end; DQL finds nothing here).",
        "Leave out any of `+ - = & | > < ! ( ) { } [ ] ^ \" ~ * ? : \\ /`: they are Lucene's signs. In double quotes"
        ' a text with them is taken (`"a cup (red)"`), but the quotes are part of what is looked for, and change it.',
        "Filters, the controls and the time range hold for all panels. A click on a photo or a bar adds a filter.",
    ]
    lines.append(f"The photos were brought in by `{str(view.found.recipe).replace('`', '')}`.")
    if not view.grid.is_exact:
        lines.append("This index is large: the graph proposes photos, so a strict filter may cost some.")
    if view.page is not None:
        lines.append(
            "To see a photo in full, click it, clear the question, and follow *open* in the table below. "
            f"Or go to [the page](<{view.page}/>)."
        )
    return PanelForm("markdown", {"fontSize": 12, "openLinksInNewTab": True, "markdown": "\n\n".join(lines)})
