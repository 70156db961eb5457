"""The middle stage: the network turns batches of decoded photos into regions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from sorce.ingest.actions import Counted, WriteDocument, WriteFields, document_json
from sorce.ingest.decode import Decoded, Ready, Unchanged, Wanted
from sorce.ingest.report import Watch
from sorce.mappings import Region, Rejected
from sorce.mappings.document import document
from sorce.models.model import Model, Prepared
from sorce.models.querybank import Querybank

Item = TypeVar("Item")

PICTURES_AT_ONCE = 128
"""About how many pictures the network gets in one call: two of its batches."""


class Pace:
    """How many photos go to the network at once, and how many are decoded ahead of it.

    Methods differ by a factor of hundreds in how many pictures they cut out of a photo, or how many regions they find.
    Only the network's result tells these numbers.
    """

    def __init__(self, workers: int) -> None:
        self.photos = 1
        self._workers = workers

    @property
    def ahead(self) -> int:
        """Enough photos to decode the next batch while this one is encoded."""
        return self.photos + 2 * self._workers

    def learn(self, photos: int, pictures: int) -> None:
        # At most doubled, because a folder may begin with icons and continue with panoramas.
        self.photos = max(1, min(PICTURES_AT_ONCE * photos // max(pictures, 1), 2 * self.photos))


@dataclass(frozen=True, slots=True)
class Batch:
    """Photos encoded together. `pictures` is how many pictures the network saw, `note` a message for the user."""

    writes: list[WriteDocument]
    pictures: int
    decode_seconds: float
    encode_seconds: float
    notes: list[str]


@dataclass(frozen=True)
class Encode(Generic[Prepared]):
    """Turns a batch of decoded photos into documents. `bank` is used to compute hubness, if the index stores it."""

    model: Model[Prepared]
    bank: Querybank | None
    wanted: Wanted

    def __call__(self, batch: Sequence[Ready[Prepared]]) -> Batch:
        started = time.perf_counter()
        found = self.model.encode([ready.prepared for ready in batch])
        seconds = time.perf_counter() - started
        seen = (self.model.pictures(ready.prepared) for ready in batch)
        notes = (self.model.note(ready.photo.width, ready.photo.height) for ready in batch)
        return Batch(
            [self._write(ready, regions) for ready, regions in zip(batch, found, strict=True)],
            sum(map(max, seen, map(len, found))),
            sum(ready.seconds for ready in batch),
            seconds,
            [note for note in notes if note is not None],
        )

    def _write(self, ready: Ready[Prepared], regions: Sequence[Region]) -> WriteDocument:
        regions = self.bank.measured(regions) if self.bank else regions
        body = document_json(document(ready.photo, regions, datetime.now(UTC), self.wanted.recipe_hash))
        counted: Counted = "new" if ready.version is None else "changed"
        return WriteDocument(
            ready.source.name,
            ready.photo.file.photo_id,
            counted,
            ready.version,
            body,
            len(regions),
            self.wanted.attributes_of(ready.source),
        )


def encoded(
    encode: Callable[[Sequence[Ready[Prepared]]], Batch],
    outcomes: Iterable[Decoded[Prepared]],
    pace: Pace,
    watch: Watch,
) -> Iterator[Batch | WriteFields | Unchanged | Rejected]:
    """Encodes photos in batches; passes other outcomes on at once. Ends when the run is asked to stop."""
    batch: list[Ready[Prepared]] = []
    for outcome in until(watch, outcomes):
        if not isinstance(outcome, Ready):
            yield outcome
            continue
        batch.append(outcome)
        if len(batch) >= pace.photos:
            done = encode(batch)
            pace.learn(len(batch), done.pictures)
            yield done
            batch = []
    if batch and not watch.stop.is_set():
        yield encode(batch)


def until(watch: Watch, items: Iterable[Item]) -> Iterator[Item]:
    """The items, until the run is asked to stop."""
    for item in items:
        if watch.stop.is_set():
            return
        yield item
