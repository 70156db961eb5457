"""Hits to carry away: as a file for other programs, and as code that asks the same."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from tempfile import TemporaryFile
from typing import IO, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sorce.errors import QueryError
from sorce.mappings import Hit, Hits
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.query import PHOTO_FIELDS, Json
from sorce.mappings.request import SearchRequest
from sorce.plugin.query.code import search_code
from sorce.plugin.query.export import Export, exported
from sorce.plugin.query.labels import Mark
from sorce.plugin.query.locating import look_again
from sorce.plugin.query.search import ClientSearch
from sorce.plugin.service.page.bodies import SearchBody, Sides, box_of
from sorce.plugin.service.page.details import fields_body
from sorce.plugin.service.page.searching import PageSearch
from sorce.plugin.service.page.users import ClusterUser
from sorce.plugin.service.requests import Refused

MAX_CHOSEN = MAX_CANDIDATES
"""Most photos, and most marks, of one file: all that a search reaches."""
COMPARED = 500
"""Most photos that are compared with a search at a time."""
MAX_PACKED = 200
"""Most photos of a ZIP, which holds their files."""

log = logging.getLogger("sorce.service")


class MarkBody(BaseModel):
    """A box that a person has judged."""

    model_config = ConfigDict(extra="forbid")
    photo_id: str
    box: Sides
    phrase: str
    right: bool
    region_id: int | None = None

    def mark(self) -> Mark:
        """Raises Refused."""
        return Mark(self.photo_id, box_of(self.box), self.phrase, self.right, self.region_id)


class ExportBody(BaseModel):
    """The body of `POST /api/export`: a search, and which of its photos; all of them if none are named."""

    model_config = ConfigDict(extra="forbid")
    format: Literal["json", "csv", "coco", "yolo", "zip", "lines"]
    index: str | None = None
    request: SearchBody
    photo_ids: Annotated[list[str], Field(max_length=MAX_CHOSEN)] | None = None
    marks: Annotated[list[MarkBody], Field(max_length=MAX_CHOSEN)] = []


class CodeBody(BaseModel):
    """The body of `POST /api/code`."""

    model_config = ConfigDict(extra="forbid")
    request: SearchBody


class Carrying:
    """Writes exports and code, as what the caller may find."""

    def __init__(self, search: PageSearch) -> None:
        self._search = search

    def file(self, user: ClusterUser, body: ExportBody) -> tuple[IO[bytes], int]:
        """An open file, for the caller to close, and how many photos it lacks. Raises Refused, what a search raises."""
        asked = body.request.model_copy(update={"index": body.index or body.request.index})
        request, marks = self._search.request(user, asked), [each.mark() for each in body.marks]
        hits = self._chosen(user, asked, body)
        missing = {mark.photo_id for mark in marks} - {hit.photo_id for hit in hits}
        hits = Hits((*hits, *_known(user, asked.index, sorted(missing))))
        there = {hit.photo_id for hit in hits}
        # A photo may have been deleted since it was marked: the other marks are not lost for that.
        kept = [mark for mark in marks if mark.photo_id in there] or marks
        gone = {mark.photo_id for mark in marks} - {mark.photo_id for mark in kept}
        if body.format == "zip" and len(hits) > MAX_PACKED:
            raise QueryError(f"a ZIP holds at most {MAX_PACKED} photos, and these are {len(hits)}; choose some.")
        settings = self._search.settings
        what = Export(hits, request, settings.roots, kept, settings.show_paths)
        opening = self._search.pictures.opened_photo if settings.roots else None
        # Without a name: nothing stays on the disk, however the answer ends.
        stream = TemporaryFile()  # noqa: SIM115  (the answer closes it)
        try:
            left_out = exported(body.format, what, stream, opening)
        except BaseException:
            stream.close()
            raise
        for each in left_out:
            log.warning("a photo is not in an export: '%s' %s", each.path, each.reason)
        return stream, len(left_out) + len(gone)

    def code(self, user: ClusterUser, body: CodeBody) -> Json:
        """The search as code. Raises Refused, and what a search raises."""
        asked = body.request
        if not self._search.settings.show_paths and (asked.filter.get("folder") or asked.filter.get("exclude_folder")):
            raise QueryError(
                "the code would name a folder of the server; leave the folder out, or start the service with "
                "--show-paths."
            )
        searcher, request = user.searcher(asked.index), self._search.request(user, asked)
        return search_code(replace(request, allow_partial=False), searcher, asked.locate).as_dict()

    def _chosen(self, user: ClusterUser, asked: SearchBody, body: ExportBody) -> Hits:
        """The hits of the search, or the photos that are named, each compared with what is searched for."""
        searcher, request = user.searcher(asked.index), self._search.request(user, asked)
        if body.photo_ids is None:
            return self._search.hits(searcher, request, asked)
        if not body.photo_ids:
            return Hits(())
        hits = compared(searcher, request, body.photo_ids)
        if asked.locate:
            stage = self._search.second_stage(searcher, asked.locate)
            # Of as many hits as were chosen, and not as many as one page has.
            hits = look_again(hits, replace(request, start=0, size=max(1, len(hits))), stage)
        missing = set(body.photo_ids) - {hit.photo_id for hit in hits}
        return Hits((*hits, *_known(user, asked.index, sorted(missing))))


def compared(searcher: ClientSearch, request: SearchRequest, photo_ids: Sequence[str]) -> Hits:
    """These photos as hits, best first."""
    parts = [photo_ids[start : start + COMPARED] for start in range(0, len(photo_ids), COMPARED)]
    hits = [hit for part in parts for hit in searcher.compare(request, part)]
    return Hits(tuple(sorted(hits, key=lambda hit: -hit.score)))


def _known(user: ClusterUser, index: str | None, photo_ids: Sequence[str]) -> list[Hit]:
    """Photos as hits without boxes, such as those marked in another search. Those the user cannot find are left out."""
    if not photo_ids:
        return []
    hits = []
    for found in user.ask(user.found(index).asked, fields_body(photo_ids, PHOTO_FIELDS))["hits"]["hits"]:
        fields = {name: values[0] for name, values in found.get("fields", {}).items() if name != "recipe_hash"}
        try:
            hits.append(Hit(**fields, score=0.0, matches=()))
        except TypeError as error:
            raise Refused(422, f"the document of photo '{found['_id']}' is malformed; ingest it again.") from error
    return hits
