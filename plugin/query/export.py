"""Hits as a file for other programs: JSON, CSV, COCO, YOLO, lines, or a ZIP of photos and crops.

The command and the page call this. Only the ZIP opens photos, and only as its caller says.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from sorce.errors import QueryError
from sorce.mappings import Hit, Hits, Match, Rejected
from sorce.mappings.request import SearchRequest
from sorce.pictures.uris import Root, folders
from sorce.plugin.query.export_names import photo_names
from sorce.plugin.query.labels import Mark, coco, labelled, lines, with_duplicates, yolo
from sorce.plugin.query.packing import OpenPhoto, pack
from sorce.plugin.query.table import as_json

JSON = "application/json"
ZIP = "application/zip"


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """How a file of this format is usually named, and its media type."""

    suffix: str
    media_type: str


FORMATS = {
    "json": ExportFormat(".json", JSON),
    "csv": ExportFormat(".csv", "text/csv; charset=utf-8"),
    "coco": ExportFormat(".json", JSON),
    "yolo": ExportFormat(".zip", ZIP),
    "zip": ExportFormat(".zip", ZIP),
    "lines": ExportFormat(".jsonl", "application/x-ndjson"),
}

PHOTO_COLUMNS = ("rank", "photo", "photo_id", "duplicate_of", "width", "height", "score")
BOX_COLUMNS = ("phrase", "region_id", "x1", "y1", "x2", "y2", "kind", "area", "quality", "similarity")
LOCATED_COLUMNS = ("located_score", "located_x1", "located_y1", "located_x2", "located_y2")

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001  (spreadsheets read the wide ones, too)
"""A cell of text that begins with one of these is run by a spreadsheet."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported: hits with their near-duplicates, and what was asked.

    Names of photos are relative to `roots` (`photo_names`). `marks` are a person's: where there are any, they are the
    boxes of `coco`, `yolo`, `lines` and of the crops, and each marked photo must be among the hits, if only without
    matches. Without `show_paths`, no URI and no absolute folder is written.
    """

    hits: Hits
    asked: SearchRequest
    roots: Sequence[Root] = ()
    marks: Sequence[Mark] = ()
    show_paths: bool = True

    @property
    def photos(self) -> list[Hit]:
        """Each hit, followed by its near-duplicates."""
        return with_duplicates(self.hits)


def exported(form: str, what: Export, stream: BinaryIO, open_photo: OpenPhoto | None = None) -> tuple[Rejected, ...]:
    """Writes a file of this format, and returns the photos that are not in it, with the reason.

    `open_photo` is needed for `zip` alone. Raises QueryError for an unknown format, and OSError.
    """
    if form not in FORMATS:
        raise QueryError(f"'{form}' is not a format of an export; choose from {', '.join(FORMATS)}.")
    names = photo_names(what.photos, folders(what.roots))
    if form == "json":
        _write_json(stream, _hits(what))
        return ()
    if form == "csv":
        _write_csv(stream, what, names)
        return ()
    photos = labelled(what.photos, what.asked.labels, names, what.marks)
    if form == "coco":
        _write_json(stream, coco(photos))
    elif form == "lines":
        stream.writelines(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in lines(photos))
    elif form == "yolo":
        return yolo(photos, stream)
    else:
        if open_photo is None:
            raise QueryError("a ZIP holds photos, and none may be opened; name the folder of the photos (--root).")
        return pack(stream, what.photos, photos, open_photo, _hits(what))
    return ()


def _hits(what: Export) -> dict[str, Any]:
    """As `sorce search --json` prints them."""
    told = as_json(what.hits, what.asked)
    if not what.show_paths:
        for hit in told["hits"]:
            _hide_paths(hit)
    return told


def _hide_paths(hit: dict[str, Any]) -> None:
    del hit["uri"]
    if Path(hit["folder"]).is_absolute():
        del hit["folder"]
    for each in hit["duplicates"]:
        _hide_paths(each)


def _write_json(stream: BinaryIO, content: Any) -> None:
    stream.write(json.dumps(content, ensure_ascii=False).encode())


def _write_csv(stream: BinaryIO, what: Export, names: dict[str, str]) -> None:
    text = TextIOWrapper(stream, "utf-8", newline="")
    try:
        more = ("uri",) if what.show_paths else ()
        table = csv.writer(text)
        table.writerow((*PHOTO_COLUMNS, *BOX_COLUMNS, *LOCATED_COLUMNS, *more))
        for rank, hit in enumerate(what.hits, what.asked.start + 1):
            for photo, better in ((hit, ""), *((each, hit.photo_id) for each in hit.duplicates)):
                first = (rank, names[photo.photo_id], photo.photo_id, better, photo.width, photo.height, photo.score)
                last = (photo.uri,) if what.show_paths else ()
                for cells in _boxes(photo, what.asked.labels):
                    table.writerow(_cell(value) for value in (*first, *cells, *last))
        text.flush()
    finally:
        # The stream belongs to the caller, and stays open.
        text.detach()


def _boxes(hit: Hit, labels: Sequence[str]) -> Iterator[tuple[object, ...]]:
    """Cells of each box; what a second stage saw stands beside the phrase's best box."""
    for number, (label, matches) in enumerate(zip(labels, hit.matches, strict=False)):
        for place, match in enumerate(matches):
            seen = hit.seen.located if hit.seen is not None and place == 0 else ()
            located = (seen[number].score, *seen[number].box.as_tuple()) if number < len(seen) else ("",) * 5
            yield (*_match(label, match), *located)


def _match(label: str, match: Match) -> tuple[object, ...]:
    return (
        *(label, match.region_id, *match.box.as_tuple()),
        *(match.kind, match.area, match.quality, match.similarity),
    )


def _cell(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it. Numbers stay as they are."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
