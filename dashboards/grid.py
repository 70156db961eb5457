"""The panel with photos: a grid of thumbnails with the boxes that answer the question, drawn by Vega.

The places of boxes come from the hits, so they are where the search found them, whatever the size of the thumbnail.

Whether pictures show depends on settings of Dashboards. So each cell says below its picture what may be missing. The
boxes are drawn in any case. On a canvas, one picture that cannot be loaded ends the drawing with an error, so the panel
is an SVG. Without `vis_type_vega.enableExternalUrls`, the first picture ends the drawing of an SVG, too. So boxes and
captions come before the pictures, and the boxes again after them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sorce.dashboards.csp import origin
from sorce.dashboards.question import GridSearch, question
from sorce.dashboards.vega import GREY, RED, SCHEMA, Json, add_filter, field, formula, searched, shown, signal, value

COLUMNS, ROWS, CELL = 5, 4, 220
"""The cells of the grid, and the side of one in pixels."""

CAPTION = 20
"""Pixels below a thumbnail, for the photo's name."""

GAP = 8

VEGA_SETTING = "vis_type_vega.enableExternalUrls: true"
IMAGE_SETTING = "csp.allowedImgSources"
"""The settings without which Dashboards, or the browser, loads no pictures of the page."""

LACKS = "no picture: opensearch_dashboards.yml lacks"
HELP = "(see `sorce dashboards status`)"
NO_PICTURES = ["no pictures: run `sorce dashboards install`", "with --page URL"]
NO_THUMBNAIL = ["this photo has no thumbnail: run", "`sorce ingest --thumbnails --force` on it"]

MALFORMED = " (its document is malformed)"

LEAST, MOST = -0.2, 0.6
"""The ends of the slider for the least similarity."""


@dataclass(frozen=True)
class Thumbnails:
    """Where pictures come from: the page (`GET /thumb/{photo_id}?w=`), or the index's own field, or nowhere.

    `query` is the rest of an address of the page: the index, and a signature where the page needs one.
    """

    page: str | None = None
    stored: bool = False
    query: str = ""

    def address(self, photo: str, side: int) -> str:
        """The page's address of a picture; `photo` is an id, or stands for one. The longer side is given in pixels."""
        return f"{self.page}/thumb/{photo}?w={side}{self.query}"

    @property
    def expression(self) -> str | None:
        """The address of a hit's picture, as Vega's expression."""
        if self.page is not None:
            before, after = self.address("\n", 2 * CELL).split("\n")
            return f"{json.dumps(before)} + datum.photo + {json.dumps(after)}"
        if self.stored:
            return "datum._source && datum._source.thumbnail ? 'data:image/webp;base64,' + datum._source.thumbnail : ''"
        return None

    @property
    def in_answer(self) -> bool:
        """Whether the search must return the field."""
        return self.page is None and self.stored

    @property
    def sentence(self) -> str:
        """What a cell without a picture says, as Vega's expression for its lines."""
        if self.page is not None:
            return json.dumps([LACKS, f"{VEGA_SETTING} or", image_setting(self.page), HELP])
        if self.stored:
            return f"datum.thumb ? {json.dumps([LACKS, VEGA_SETTING, HELP])} : {json.dumps(NO_THUMBNAIL)}"
        return json.dumps(NO_PICTURES)


def image_setting(page: str) -> str:
    """The line of opensearch_dashboards.yml that lets a browser show pictures of this page."""
    return f'{IMAGE_SETTING}: ["{origin(page)}"]'


def photo_grid(grid: GridSearch, thumbnails: Thumbnails) -> Json:
    body = question(grid)
    if thumbnails.in_answer:
        body["_source"] = ["thumbnail"]
    marks = [_sentence(thumbnails), _photos(), _boxes("box"), _names()]
    if thumbnails.expression:
        marks += [_pictures(), _boxes("boxabove")]
    click = [{"type": "click", "markname": name} for name in ("photo", "box", "boxabove")]
    clicked = add_filter("{match_phrase: {photo_id: datum.photo}}", grid.index)
    return {
        "$schema": SCHEMA,
        "config": {"kibana": {"renderer": "svg"}},
        "autosize": "none",
        "padding": 0,
        "width": COLUMNS * CELL,
        "height": ROWS * CELL,
        "signals": [
            {"name": "cell", "value": CELL},
            {"name": "columns", "value": COLUMNS},
            _slider(),
            {"name": "clicked", "on": [{"events": click, "update": clicked}]},
        ],
        "data": [_hits(grid, body, thumbnails), _with_pictures(), _regions()],
        "marks": marks,
    }


def _slider() -> Json:
    bound = {"input": "range", "min": LEAST, "max": MOST, "step": 0.01, "name": "least similarity "}
    return {"name": "least", "value": LEAST, "bind": bound}


def _hits(grid: GridSearch, body: Json, thumbnails: Thumbnails) -> Json:
    """A row for each photo: where its cell is, and how large it is drawn."""
    return {
        "name": "hits",
        "url": searched(grid.index, body),
        "format": {"property": "hits.hits"},
        "transform": [
            {"type": "window", "ops": ["row_number"], "as": ["n"]},
            formula("sized", f"{_first('width', '0')} > 0 && {_first('height', '0')} > 0"),
            formula("pw", "datum.sized ? datum.fields.width[0] : 1"),
            formula("ph", "datum.sized ? datum.fields.height[0] : 1"),
            formula("scale", f"min((cell - {GAP}) / datum.pw, (cell - {GAP + CAPTION}) / datum.ph)"),
            formula("x", "((datum.n - 1) % columns) * cell"),
            formula("y", "floor((datum.n - 1) / columns) * cell"),
            formula("w", "datum.pw * datum.scale"),
            formula("h", "datum.ph * datum.scale"),
            formula("photo", _first("photo_id", "datum._id")),
            formula("name", f"{shown(_first('file_name', 'datum._id'))} + (datum.sized ? '' : '{MALFORMED}')"),
            formula("folder", shown(_first("folder", "''"))),
            formula("best", "datum.inner_hits.p0.hits.hits[0]._score - 1"),
            formula("thumb", thumbnails.expression or "''"),
        ],
    }


def _with_pictures() -> Json:
    return {"name": "pictured", "source": "hits", "transform": [{"type": "filter", "expr": "datum.thumb"}]}


def _first(name: str, otherwise: str) -> str:
    """An expression for a field's value. Anybody may have written a document: one without the field fails no panel."""
    return f"(datum.fields && datum.fields.{name} ? datum.fields.{name}[0] : {otherwise})"


def _regions() -> Json:
    """A row for each box, in pixels of the panel. A score is 1 + the cosine (`sorce.mappings.query`)."""
    there = " && ".join(f"datum.region.fields['regions.{name}']" for name in ("x1", "y1", "x2", "y2"))
    edges = [
        formula(name, f"datum.{axis} + datum.region.fields['regions.{name}'][0] * datum.scale")
        for name, axis in (("x1", "x"), ("y1", "y"), ("x2", "x"), ("y2", "y"))
    ]
    return {
        "name": "boxes",
        "source": "hits",
        "transform": [
            {"type": "flatten", "fields": ["inner_hits.p0.hits.hits"], "as": ["region"]},
            {"type": "filter", "expr": f"datum.sized && datum.region.fields && {there}"},
            formula("similarity", "datum.region._score - 1"),
            *edges,
            {"type": "filter", "expr": "datum.similarity >= least"},
        ],
    }


_CELL = {"x": field("x"), "y": field("y"), "width": field("w"), "height": field("h")}


def _sentence(thumbnails: Thumbnails) -> Json:
    """Drawn first: a picture that loads covers it."""
    drawn = {
        "x": signal("datum.x + datum.w / 2"),
        "y": signal("datum.y + datum.h / 2"),
        "text": signal(thumbnails.sentence),
        "align": value("center"),
        "baseline": value("middle"),
        "fontSize": value(9),
        "fill": value(GREY),
        "limit": signal(f"cell - {GAP}"),
    }
    return {"type": "text", "name": "missing", "from": {"data": "hits"}, "encode": {"update": drawn}}


def _pictures() -> Json:
    drawn = {**_CELL, "url": field("thumb"), "aspect": value(False), "opacity": signal("datum.best >= least ? 1 : 0.2")}
    return {
        "type": "image",
        "name": "picture",
        "interactive": False,
        "from": {"data": "pictured"},
        "encode": {"update": drawn},
    }


def _photos() -> Json:
    drawn = {
        **_CELL,
        "fill": value("transparent"),
        "stroke": value("#cccccc"),
        "cursor": value("pointer"),
        "tooltip": signal("{photo: datum.name, folder: datum.folder, similarity: format(datum.best, '.3f')}"),
    }
    return {"type": "rect", "name": "photo", "from": {"data": "hits"}, "encode": {"update": drawn}}


def _boxes(name: str) -> Json:
    """The best box is thicker."""
    drawn = {
        "x": field("x1"),
        "x2": field("x2"),
        "y": field("y1"),
        "y2": field("y2"),
        "stroke": value(RED),
        "strokeWidth": signal("datum.similarity == datum.best ? 2.5 : 1"),
        "fill": value("transparent"),
        "cursor": value("pointer"),
        "tooltip": signal("{similarity: format(datum.similarity, '.3f'), photo: datum.name}"),
    }
    return {"type": "rect", "name": name, "from": {"data": "boxes"}, "encode": {"update": drawn}}


def _names() -> Json:
    drawn = {
        "x": field("x"),
        "y": signal("datum.y + datum.h + 14"),
        "text": signal("format(datum.best, '.3f') + '  ' + datum.name"),
        "limit": signal(f"cell - {GAP}"),
        "fontSize": value(11),
    }
    return {
        "type": "text",
        "name": "caption",
        "interactive": False,
        "from": {"data": "hits"},
        "encode": {"update": drawn},
    }
