"""Filters: conditions on the region and on its photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import get_args
from unicodedata import normalize

from sorce.errors import QueryError
from sorce.mappings.conditions import Condition, Json, Near, Properties, Where, between, in_folder, on_days, spellings
from sorce.mappings.limits import MAX_KEYWORD_LETTERS
from sorce.mappings.option import MAX_BYTES, check_options, option, refuse_reversed
from sorce.mappings.values import Kind

KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Filter:
    """All conditions must hold for the region that is shown. Areas are shares of the photo, 0..1.

    `folder` includes its subfolders, and each `exclude_folder` excludes its subfolders, too. `since` and `until` are
    days (YYYY-MM-DD) by the camera's clock, both included. `keywords` are those that the file itself holds, all of
    them. `near` is `LAT,LON,KM`: a place in degrees, and a distance in kilometres. `where` are conditions on user
    attributes: `key=value`, `key>=3`, `key<=2026-01-31`. A single text is accepted as a list of one. Raises QueryError
    for a condition that no index can meet.
    """

    kinds: Sequence[str] = option(
        (), "--kind", f"Only boxes of this kind: {', '.join(KINDS)}.", choices=KINDS, repeated=True
    )
    min_area: float | None = option(
        None, "--min-area", "Only boxes of at least this share of the photo.", float, metavar="SHARE", least=0, most=1
    )
    max_area: float | None = option(
        None, "--max-area", "Only boxes of at most this share (0.01 = 1 %).", float, metavar="SHARE", least=0, most=1
    )
    min_quality: float | None = option(
        None, "--min-quality", "Only boxes of at least this quality, 0 to 1.", float, least=0, most=1
    )
    folder: str | None = option(None, "--folder", "Only photos in this folder and below.")
    exclude_folder: Sequence[str] = option(
        (), "--exclude-folder", "No photos in this folder and below.", metavar="FOLDER", repeated=True
    )
    camera: str | None = option(None, "--camera", "Only photos of this camera.")
    since: str | None = option(
        None, "--since", "Only photos taken on or after this day (the camera's clock).", date, metavar="YYYY-MM-DD"
    )
    until: str | None = option(None, "--until", "Only photos taken on or before this day.", date, metavar="YYYY-MM-DD")
    keywords: Sequence[str] = option(
        (), "--keyword", "Only photos with this keyword (IPTC, XMP).", metavar="WORD", repeated=True
    )
    near: str | None = option(
        None, "--near", "Only photos taken at most KM kilometres from a place in degrees.", metavar="LAT,LON,KM"
    )
    where: Sequence[str] = option(
        (), "--where", "Only photos with this attribute (also KEY>=3, KEY<=3).", metavar="KEY=VALUE", repeated=True
    )

    def __post_init__(self) -> None:
        check_options(self)
        refuse_reversed(self, "min_area", "max_area")
        refuse_reversed(self, "since", "until")
        for text in self.where:
            Where.parse(text)
        if self.near is not None:
            Near.parse(self.near)
        folders = [*self.exclude_folder] if self.folder is None else [self.folder, *self.exclude_folder]
        if any(len(form.encode()) > MAX_BYTES for folder in folders for form in spellings(folder)):
            raise QueryError(f"a condition of more than {MAX_BYTES} bytes is too long; name a folder above it.")

    def check(self, regions: Properties, index: str) -> None:
        """Raises QueryError for a condition that this index cannot meet, according to the regions in its mapping."""
        for text in self.where:
            Where.parse(text).check(regions, index)
        for asked, name in ((self.keywords, "keywords"), (self.near, "location")):
            if asked and name not in regions:
                raise QueryError(
                    f"the photos of index '{index}' have no {name} yet; bring them in again with "
                    f"`sorce ingest --force --index {index} PHOTOS`."
                )

    def conditions(self, regions: Properties) -> list[Condition]:
        """The conditions on regions with this mapping; empty if there is none."""
        found: list[Condition] = []
        if self.kinds:
            found.append(Condition(f"kind {', '.join(self.kinds)}", {"terms": {"regions.kind": list(self.kinds)}}))
        if self.folder is not None:
            found.append(Condition(f"folder {self.folder}", in_folder(self.folder)))
        if self.exclude_folder:
            excluded = {"bool": {"must_not": [in_folder(folder) for folder in self.exclude_folder]}}
            found.append(Condition(f"folder not {', '.join(self.exclude_folder)}", excluded))
        if self.camera is not None:
            found.append(Condition(f"camera {self.camera}", {"term": {"regions.camera": self.camera}}))
        if self.min_area is not None or self.max_area is not None:
            label = _bounds("area", self.min_area, self.max_area)
            found.append(Condition(label, between("regions.area", self.min_area, self.max_area)))
        if self.min_quality is not None:
            label = _bounds("quality", self.min_quality, None)
            found.append(Condition(label, between("regions.quality", self.min_quality, None)))
        if self.since is not None or self.until is not None:
            days = on_days(self.since, self.until, regions)
            found.append(Condition(_bounds("day", self.since, self.until), days))
        for word in self.keywords:
            found.append(Condition(f"keyword {word}", {"term": {"regions.keywords": _kept(word)}}))
        if self.near is not None:
            found.append(Near.parse(self.near).condition())
        found += [Where.parse(text).condition() for text in self.where]
        return found

    def clauses(self, regions: Properties) -> list[Json]:
        """The clauses of all conditions, for `sorce.mappings.query.Query`."""
        return [each.clause for each in self.conditions(regions)]


def _kept(keyword: str) -> str:
    """A keyword as photos have it: in NFC, and cut."""
    return normalize("NFC", keyword)[:MAX_KEYWORD_LETTERS].strip()


def _bounds(name: str, least: object, most: object) -> str:
    return " and ".join(
        f"{name} {word} {value}" for word, value in (("at least", least), ("at most", most)) if value is not None
    )
