"""A photo before it is read: its identity, and how to read its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sorce.mappings import PhotoFile


def photo_id_of(uri: str) -> str:
    """The identity of the photo with this URI."""
    return hashlib.sha256(uri.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Source:
    """A photo that may become a document.

    `uri` is its identity and `name` what a person calls it. `read` returns the file's bytes, and raises BadPhoto if it
    cannot. It is called once, in any thread, only when the photo is processed. `modified_at` is when the file was last
    changed, and `etag` is an object store's tag for its content, if known.
    """

    uri: str
    folder: str
    file_name: str
    name: str
    read: Callable[[], bytes]
    modified_at: datetime | None = None
    etag: str | None = None

    @property
    def photo_id(self) -> str:
        return photo_id_of(self.uri)

    def file(self, content: bytes) -> PhotoFile:
        """What is stored about the file, given its bytes."""
        return PhotoFile(
            photo_id=self.photo_id,
            uri=self.uri,
            file_name=self.file_name,
            folder=self.folder,
            content_hash=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            modified_at=self.modified_at,
            etag=self.etag,
        )
