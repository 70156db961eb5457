"""One photo by its id: where it is, and what the index holds of it. The caller's own search must find it."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any

from sorce.mappings.query import Json
from sorce.mappings.stored import StoredPhoto, read_stored, stored_body
from sorce.plugin.service.page.details import VERSION_DIGITS, fields_body
from sorce.plugin.service.page.folders import Folders
from sorce.plugin.service.page.users import ClusterUser
from sorce.plugin.service.requests import Refused

MAX_REMEMBERED = 20_000
REMEMBERED_SECONDS = 30
MAX_ID = 512
"""Longest id of a document in OpenSearch, in bytes."""


@dataclass(frozen=True, slots=True)
class PhotoPlace:
    """A photo of an index. Width and height are in pixels, as the index holds them."""

    uri: str
    width: int
    height: int


class PhotoPlaces:
    """Finds photos by id. What the service's own user found is remembered for a moment: a page asks for many pictures.

    With the credentials of a user, the cluster is asked each time: what this user may see is its to say.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[float, PhotoPlace]] = OrderedDict()
        self._lock = Lock()

    def place(self, user: ClusterUser, index: str | None, photo_id: str) -> PhotoPlace:
        """Raises Refused if the caller's search does not find it."""
        name = user.found(index).asked
        if user.is_own and (known := self._remembered(name, photo_id)) is not None:
            return known
        if not 0 < len(photo_id.encode(errors="replace")) <= MAX_ID:
            raise _missing(photo_id)
        hits = user.ask(name, fields_body([photo_id], ["uri", "width", "height"]))["hits"]["hits"]
        if not hits:
            raise _missing(photo_id)
        place = _place(photo_id, hits[0].get("fields", {}))
        if user.is_own:
            self._remember(name, photo_id, place)
        return place

    def remember(self, user: ClusterUser, index: str, photo_id: str, place: PhotoPlace) -> None:
        """What a search just found."""
        if user.is_own:
            self._remember(index, photo_id, place)

    def _remembered(self, index: str, photo_id: str) -> PhotoPlace | None:
        with self._lock:
            until, place = self._known.get((index, photo_id), (0.0, None))
            return place if time.monotonic() < until else None

    def _remember(self, index: str, photo_id: str, place: PhotoPlace) -> None:
        with self._lock:
            self._known[index, photo_id] = (time.monotonic() + REMEMBERED_SECONDS, place)
            self._known.move_to_end((index, photo_id))
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)


def stored_photo(user: ClusterUser, index: str | None, photo_id: str) -> StoredPhoto:
    """The document. Raises Refused."""
    try:
        found = read_stored(user.ask(user.found(index).asked, stored_body(photo_id, vectors=False)))
    except ValueError as error:
        raise Refused(422, "the document of this photo is malformed; ingest it again.") from error
    if found is None:
        raise _missing(photo_id)
    return found


def photo_json(photo: StoredPhoto, index: str, folders: Folders, show_paths: bool) -> Json:
    """The answer to `GET /api/photo/{photo_id}`."""
    taken = None if photo.taken_at is None else photo.taken_at.isoformat()
    return {
        "index": index,
        "photo_id": photo.photo_id,
        "version": photo.content_hash[:VERSION_DIGITS],
        "file_name": photo.file_name,
        "folder": folders.shown(photo.folder),
        **({"uri": photo.uri} if show_paths else {}),
        "width": photo.width,
        "height": photo.height,
        "bytes": photo.bytes,
        "attributes": dict(photo.attributes),
        "regions": [
            {"region_id": each.region_id, "box": list(each.box.as_tuple()), "kind": each.kind, "quality": each.quality}
            for each in photo.regions
        ],
        "exif": {
            "taken_at": taken,
            "camera": photo.camera,
            "keywords": list(photo.keywords),
            "location": None if photo.location is None else list(photo.location),
        },
    }


def _place(photo_id: str, fields: dict[str, list[Any]]) -> PhotoPlace:
    try:
        return PhotoPlace(str(fields["uri"][0]), int(fields["width"][0]), int(fields["height"][0]))
    except (KeyError, IndexError, ValueError) as error:
        raise _missing(photo_id) from error


def _missing(photo_id: str) -> Refused:
    return Refused(404, f"your search finds no photo '{photo_id[:80]}' in this index.")
