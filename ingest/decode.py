"""From the bytes of a file to what the network will see: the part of the work that runs in many threads."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from threading import Condition
from typing import Generic, TypeVar

from PIL import ExifTags, Image

from sorce.errors import BadPhoto
from sorce.ingest.source import Source
from sorce.mappings import Attribute, Photo, PhotoFile, Rejected
from sorce.mappings.lookup import Stored
from sorce.models.upright import DAMAGED, MOST_PIXELS, named, opened, upright

Prepared = TypeVar("Prepared")

PIXELS_OF_A_WORKER = 50_000_000

DATES = ((0x9003, 0x9011), (0x9004, 0x9012))
"""When the photo was taken, or else digitised, each with its time zone: tags of EXIF's own directory."""


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


class Room:
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
    """One photo at a time, in any of `workers` threads. `force` decodes unchanged photos, too."""

    def __init__(
        self,
        prepare: Callable[[Image.Image], Prepared],
        attributes: Mapping[str, Attribute],
        force: bool,
        workers: int,
    ) -> None:
        self._prepare = prepare
        self._attributes = attributes
        self._force = force
        self._room = Room(max(MOST_PIXELS, workers * PIXELS_OF_A_WORKER))

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
        with opened(io.BytesIO(content)) as image, self._room.holding(image.width * image.height):
            started = time.perf_counter()
            pixels = named(upright(image), job.source.name)
            photo = Photo(
                file,
                *pixels.size,
                taken_at=taken_at(image),
                camera=camera(image),
                attributes=stored.with_attributes(self._attributes),
            )
            prepared = self._prepare(pixels)
        return Ready(job.source, photo, prepared, job.stored is None, time.perf_counter() - started)


def taken_at(image: Image.Image) -> datetime | None:
    """EXIF's date, with its time zone where the camera wrote one; None where there is no date that makes sense."""
    try:
        tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except DAMAGED:
        return None
    for date, zone in DATES:
        said = f"{tags.get(date, '')}".strip("\0 ")
        offset = f"{tags.get(zone, '')}".strip("\0 ")
        for text, form in ((said + offset, "%Y:%m:%d %H:%M:%S%z"), (said, "%Y:%m:%d %H:%M:%S")):
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
    return None


def camera(image: Image.Image) -> str | None:
    """Maker and model, as EXIF has them; many models name their maker themselves."""
    try:
        exif = image.getexif()
        maker, model = (f"{exif.get(tag) or ''}".strip("\0 ") for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    except DAMAGED:
        return None
    name = model if model.lower().startswith(maker.lower()) else f"{maker} {model}".strip()
    return name[:200] or None
