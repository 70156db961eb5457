"""Counts and times of a run, as they come in."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sorce.ingest.bulk import THREADS, Sent
from sorce.ingest.decode import Ready, Unchanged
from sorce.ingest.report import Report, Watch
from sorce.mappings import Rejected


class Stats:
    """Told of each photo once, always in the thread that runs the ingest."""

    def __init__(self, watch: Watch, workers: int) -> None:
        self.watch = watch
        self._workers = workers
        self._counts: Counter[str] = Counter()
        self._noted = False
        self._decode = self._encode = self._write = 0.0
        self._started = time.perf_counter()

    def settled(self, outcome: Unchanged | Rejected) -> None:
        """A photo that needs no work, or can have none."""
        if isinstance(outcome, Rejected):
            self._counts["rejected"] += 1
            self.watch.rejected(outcome)
        else:
            self._counts["unchanged"] += 1
        self.watch.done(1)

    def decoded(self, seconds: float) -> None:
        self._decode += seconds / self._workers

    def encoded(self, seconds: float) -> None:
        self._encode += seconds

    def noted(self, note: str | None) -> None:
        """Once a run: of photos of many sizes it would be said again and again with other numbers."""
        if note is not None and not self._noted:
            self._noted = True
            self.watch.noted(note)

    def sent(self, sent: Sent) -> None:
        self._write += sent.seconds / THREADS
        self._counts["regions"] += sum(write.regions for write in sent.written)
        self._written([write.is_new for write in sent.written])
        for reject in sent.rejected:
            self.settled(reject)

    def would_write(self, batch: Sequence[Ready[Any]]) -> None:
        self._written([ready.is_new for ready in batch])

    def report(self) -> Report:
        return Report(
            **self._counts,
            seconds=time.perf_counter() - self._started,
            decode=self._decode,
            encode=self._encode,
            write=self._write,
            stopped=self.watch.stop.is_set(),
        )

    def _written(self, are_new: Sequence[bool]) -> None:
        self._counts["new"] += sum(are_new)
        self._counts["changed"] += len(are_new) - sum(are_new)
        self.watch.done(len(are_new))
