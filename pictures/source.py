"""A photo before it is read: who it is, and how to get at its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sorce.mappings import PhotoFile


@dataclass(frozen=True, slots=True)
class Source:
    """A photo that may become a document.

    `uri` is its identity and `name` what a person calls it. `read` gives the file's bytes, and raises BadPhoto where
    there are none to be had; it is called in any thread, once, and only when the photo's turn has come.
    `modified_at` is when the file was last changed, and `etag` what an object store calls its content, if known.
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
        return hashlib.sha256(self.uri.encode()).hexdigest()[:32]

    def file(self, content: bytes) -> PhotoFile:
        """What is stored of the file, given its bytes."""
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
