"""The first stage: compares each photo with what the index holds of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from sorce.ingest.index import TargetIndex
from sorce.ingest.retry import Retry
from sorce.mappings import Rejected
from sorce.mappings.lookup import Stored
from sorce.pictures.source import Source

AT_ONCE = 500
"""How many photos one request asks the index about."""


@dataclass(frozen=True, slots=True)
class Job:
    """A photo to be processed, and what the index holds of it.

    When an alias moves, `inherited` is what the previous index holds of the photo: its attributes are copied.
    """

    source: Source
    stored: Stored | None
    inherited: Stored | None = None


@dataclass(frozen=True)
class Compare:
    """Turns a batch of sources into jobs. `before` is the index that an alias moves away from."""

    index: TargetIndex
    before: TargetIndex | None = None

    def __call__(self, batch: Sequence[Source | Rejected]) -> list[Job | Rejected]:
        ids = [source.photo_id for source in batch if isinstance(source, Source)]
        stored = self.index.stored(ids)
        new = [photo_id for photo_id in ids if photo_id not in stored]
        inherited = self.before.stored(new) if self.before and new else {}
        return [
            source
            if isinstance(source, Rejected)
            else Job(source, stored.get(source.photo_id), inherited.get(source.photo_id))
            for source in batch
        ]

    def refresh(self) -> None:
        """Makes the writes of a killed run visible: an index may refresh rarely, or never."""
        for index in filter(None, (self.index, self.before)):
            if index.found is not None:
                index.refresh()


def compared(compare: Compare, sources: Iterable[Source | Rejected], retry: Retry) -> Iterator[Job | Rejected]:
    """All sources as jobs, batch by batch. Ends early if the run is asked to stop while it waits for the cluster."""
    retry.ask(compare.refresh)
    sources = iter(sources)
    while batch := list(islice(sources, AT_ONCE)):
        jobs = retry.ask(partial(compare, batch))
        if jobs is None:
            return
        yield from jobs
