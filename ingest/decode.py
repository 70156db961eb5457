"""From the bytes of a file to the network's input: the part of the work that runs in many threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import orjson

from sorce.errors import BadPhoto
from sorce.ingest.actions import Counted, WriteFields
from sorce.ingest.attributes import AttributesByPhoto, attributes_of
from sorce.ingest.compare import Job
from sorce.mappings import Attribute, Photo, PhotoFile, Picture, Rejected
from sorce.mappings.lookup import DocumentState, Stored, as_stored
from sorce.mappings.update import change
from sorce.pictures.budget import PixelBudget
from sorce.pictures.limits import MAX_PIXELS, DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.source import Source
from sorce.pictures.thumbnail import thumbnail

Prepared = TypeVar("Prepared")

PIXELS_OF_A_WORKER = 50_000_000

JUST_NOW = timedelta(seconds=2)
"""The clocks of disks count in steps of up to two seconds (FAT)."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The index already holds this photo unchanged."""

    source: Source


@dataclass(frozen=True, slots=True)
class Ready(Generic[Prepared]):
    """A photo that is ready for the network.

    `version` is the state of its document that was read, if there is one; `seconds` is the time that decoding took.
    """

    source: Source
    photo: Photo
    prepared: Prepared
    version: DocumentState | None
    seconds: float


@dataclass(frozen=True)
class Wanted:
    """What each photo needs: vectors of this recipe (its hash) and these attributes. `force` encodes again.

    With `checksum` each file is read; else an unchanged size and time of change, or an unchanged tag, is enough.
    `by_photo` are attributes of single photos, which come before those of all. `thumbnails` says whether a photo that
    is encoded gets a small picture, too.
    """

    recipe_hash: str
    attributes: Mapping[str, Attribute]
    force: bool = False
    by_photo: AttributesByPhoto = field(default_factory=dict)
    thumbnails: bool = False
    checksum: bool = False

    def attributes_of(self, source: Source) -> Mapping[str, Attribute]:
        """The attributes that this run sets on a photo."""
        own = attributes_of(source, self.by_photo) if self.by_photo else {}
        return (
            {**self.attributes, **as_stored(source.attributes), **own} if own or source.attributes else self.attributes
        )

    def unread(self, job: Job) -> PhotoFile | None:
        """What is known of a file that need not be read; None if it must be."""
        stored, source = job.stored, job.source
        if self.force or self.checksum or stored is None or source.size is None:
            return None
        if stored.recipe_hash != self.recipe_hash or not stored.content_hash:
            return None
        file = source.file_of(stored.content_hash, source.size)
        return file if stored.is_of(file) else None

    def is_encoded(self, file: PhotoFile, stored: Stored | None) -> bool:
        """Whether the index holds the vectors of this content for this recipe."""
        return (
            not self.force
            and stored is not None
            and stored.content_hash == file.content_hash
            # Documents of schema 1 do not name their recipe: it is that of their index.
            and stored.recipe_hash in (None, self.recipe_hash)
        )

    def update(self, job: Job, file: PhotoFile, stored: Stored) -> WriteFields | Unchanged:
        """The remaining work for a photo whose vectors exist: nothing, or an update without vectors."""
        attributes = self.attributes_of(job.source)
        lacks = stored.lacks(attributes)
        if not lacks and stored.recipe_hash is not None and stored.knows(file):
            return Unchanged(job.source)
        body = orjson.dumps(change(file, self.recipe_hash, attributes))
        counted: Counted = "changed" if lacks else "unchanged"
        return WriteFields(job.source.name, file.photo_id, counted, stored.version, body)


Decoded = Ready[Prepared] | WriteFields | Unchanged | Rejected


def settled(file: PhotoFile) -> PhotoFile:
    """The file; without its time of change if that is just now, so that the next run reads it again.

    A second change within one step of the disk's clock keeps the time, and maybe the size. A tag shows every change.
    """
    if file.etag is not None or file.modified_at is None or datetime.now(UTC) - file.modified_at > JUST_NOW:
        return file
    return replace(file, modified_at=None)


class Decoder(Generic[Prepared]):
    """Decodes one photo at a time, in any of `workers` threads.

    Used as a context manager, because separate processes open the pictures, within `limits`.
    """

    def __init__(
        self,
        prepare: Callable[[Picture], Prepared],
        wanted: Wanted,
        workers: int,
        limits: DecodeLimits | None = None,
    ) -> None:
        self._prepare = prepare
        self._wanted = wanted
        self._budget = PixelBudget(max(MAX_PIXELS, workers * PIXELS_OF_A_WORKER))
        self._openers = DecoderPool(limits or DecodeLimits())

    def __enter__(self) -> Decoder[Prepared]:
        return self

    def __exit__(self, *_: object) -> None:
        self._openers.close()

    def __call__(self, job: Job | Rejected) -> Decoded[Prepared]:
        if isinstance(job, Rejected):
            return job
        try:
            job = replace(job, source=job.source.looked_at())
            unread = self._wanted.unread(job)
            if job.stored is not None and unread is not None:
                return self._wanted.update(job, unread, job.stored)
            # Read once, so that the hash and the decoded picture agree even if the file is being written.
            content = job.source.read()
            file = settled(job.source.file(content))
            if job.stored is not None and self._wanted.is_encoded(file, job.stored):
                return self._wanted.update(job, file, job.stored)
            return self._ready(job, file, content)
        except BadPhoto as error:
            return Rejected(job.source.name, str(error))

    def _ready(self, job: Job, file: PhotoFile, content: bytes) -> Ready[Prepared]:
        before = job.stored or job.inherited
        given = self._wanted.attributes_of(job.source)
        attributes = given if before is None else before.with_attributes(given)
        with self._openers.one() as opener, self._budget.holding(opener.pixels(content)):
            started = time.perf_counter()
            picture = opener.picture(job.source.name)
            photo = Photo(
                file,
                *picture.size,
                taken_at=picture.taken_at,
                camera=picture.camera,
                keywords=picture.keywords,
                location=picture.location,
                attributes=attributes,
                thumbnail=thumbnail(picture.image) if self._wanted.thumbnails else None,
            )
            prepared = self._prepare(picture)
        return Ready(
            job.source,
            photo,
            prepared,
            None if job.stored is None else job.stored.version,
            time.perf_counter() - started,
        )
