"""A photo before it is read: its identity, and how to read its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sorce.errors import BadPhoto
from sorce.mappings import Attribute, PhotoFile
from sorce.pictures.stores import FileState

ID_DIGITS = 32


def photo_id_of(uri: str) -> str:
    """The identity of the photo with this URI."""
    return hashlib.sha256(uri.encode()).hexdigest()[:ID_DIGITS]


@dataclass(frozen=True, slots=True)
class Source:
    """A photo that may become a document.

    `uri` is its identity, `folder` and `file_name` are what searches filter by and show, and `name` is what messages
    call it. `read` returns the file's bytes, and raises BadPhoto if it cannot. It is called once, in any thread, only
    when the photo is processed. `modified_at` is when the file was last changed, `etag` is an object store's tag for
    its content, and `size` is its number of bytes, if known. Where they are not known yet, `look` asks for them; it
    raises BadPhoto. `attributes` are this photo's own.
    """

    uri: str
    folder: str
    file_name: str
    name: str
    read: Callable[[], bytes]
    modified_at: datetime | None = None
    etag: str | None = None
    size: int | None = None
    look: Callable[[], FileState] | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def looked_at(self) -> Source:
        """With what its store says of it now. It stays as it is if the store does not answer: reading tells why."""
        if self.look is None:
            return self
        try:
            return self.as_it_is(self.look())
        except BadPhoto:
            return self

    def as_it_is(self, state: FileState) -> Source:
        """With what its store or disk says of it."""
        return replace(self, size=state.size, modified_at=state.modified_at, etag=state.etag, look=None)

    @property
    def photo_id(self) -> str:
        """The first 32 hex digits of the SHA-256 of `uri`."""
        return photo_id_of(self.uri)

    def file(self, content: bytes) -> PhotoFile:
        """What is stored about the file, given its bytes."""
        return self.file_of(hashlib.sha256(content).hexdigest(), len(content))

    def file_of(self, content_hash: str, size: int) -> PhotoFile:
        """What is stored about the file, given the SHA-256 and the number of its bytes."""
        return PhotoFile(
            photo_id=self.photo_id,
            uri=self.uri,
            file_name=self.file_name,
            folder=self.folder,
            content_hash=content_hash,
            bytes=size,
            modified_at=self.modified_at,
            etag=self.etag,
        )
