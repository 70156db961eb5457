"""From the bytes of a file to what the network will see: the part of the work that runs in many threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Generic, TypeVar

from sorce.errors import BadPhoto
from sorce.mappings import Attribute, Photo, PhotoFile, Picture, Rejected
from sorce.mappings.lookup import Stored
from sorce.pictures.limits import MOST_PIXELS, DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.source import Source

Prepared = TypeVar("Prepared")

PIXELS_OF_A_WORKER = 50_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """A photo whose turn has come, and what the index holds of it."""

    source: Source
    stored: Stored | None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The index holds this photo as it is."""

    source: Source


@dataclass(frozen=True, slots=True)
class Ready(Generic[Prepared]):
    """A photo that is ready for the network. `seconds` is what that took."""

    source: Source
    photo: Photo
    prepared: Prepared
    is_new: bool
    seconds: float


class PixelBudget:
    """So many pixels may be in memory at once; a photo waits for its own before it is decoded."""

    def __init__(self, pixels: int) -> None:
        self._free = pixels
        self._changed = Condition()

    @contextmanager
    def holding(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


class Decoder(Generic[Prepared]):
    """One photo at a time, in any of `workers` threads. `force` decodes unchanged photos, too.

    A context, since it has pictures opened by processes of its own, within `limits`.
    """

    def __init__(
        self,
        prepare: Callable[[Picture], Prepared],
        attributes: Mapping[str, Attribute],
        force: bool,
        workers: int,
        limits: DecodeLimits | None = None,
    ) -> None:
        self._prepare = prepare
        self._attributes = attributes
        self._force = force
        self._room = PixelBudget(max(MOST_PIXELS, workers * PIXELS_OF_A_WORKER))
        self._openers = DecoderPool(limits or DecodeLimits())

    def __enter__(self) -> Decoder[Prepared]:
        return self

    def __exit__(self, *_: object) -> None:
        self._openers.close()

    def __call__(self, job: Job | Rejected) -> Ready[Prepared] | Unchanged | Rejected:
        if isinstance(job, Rejected):
            return job
        try:
            # Read once, so that what is decoded is what was hashed, even of a file that is being written.
            content = job.source.read()
            file = job.source.file(content)
            if not self._force and self._is_stored(file, job.stored):
                return Unchanged(job.source)
            return self._ready(job, file, content)
        except BadPhoto as error:
            return Rejected(job.source.name, str(error))

    def _is_stored(self, file: PhotoFile, stored: Stored | None) -> bool:
        return (
            stored is not None
            and stored.content_hash == file.content_hash
            and stored.with_attributes(self._attributes) == stored.attributes
        )

    def _ready(self, job: Job, file: PhotoFile, content: bytes) -> Ready[Prepared]:
        stored = job.stored or Stored(content_hash="", attributes={})
        with self._openers.one() as opener, self._room.holding(opener.pixels(content)):
            started = time.perf_counter()
            picture = opener.picture(job.source.name)
            photo = Photo(
                file,
                *picture.size,
                taken_at=picture.taken_at,
                camera=picture.camera,
                attributes=stored.with_attributes(self._attributes),
            )
            prepared = self._prepare(picture)
        return Ready(job.source, photo, prepared, job.stored is None, time.perf_counter() - started)
