"""Counts and times of a run, summed over the results of the stages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sorce.ingest.actions import WriteFields
from sorce.ingest.decode import Ready, Unchanged
from sorce.ingest.encode import Batch
from sorce.ingest.report import Report, Watch
from sorce.ingest.write import THREADS, Sent
from sorce.mappings import Rejected

Outcome = Unchanged | Rejected | Batch | Sent | Ready[Any] | WriteFields


COUNTED = ("new", "changed", "unchanged", "rejected", "regions")


class Stats:
    """Gets each outcome once, always in the thread that runs the ingest.

    `decoders`, `encoders` and `writers` are how many work at once at each stage.
    """

    def __init__(self, watch: Watch, decoders: int, encoders: int = 1, writers: int = THREADS) -> None:
        self.watch = watch
        self._decoders, self._encoders, self._writers = decoders, encoders, writers
        # All names from the start: another thread may read the counts while they grow.
        self._counts = Counter(dict.fromkeys(COUNTED, 0))
        self._noted = False
        self._decode = self._encode = self._write = 0.0
        self._started = time.perf_counter()
        watch.started(self.report)

    def add(self, outcome: Outcome) -> None:
        """A batch only adds its times: its photos count when they are sent. A rehearsal sends nothing."""
        match outcome:
            case Unchanged():
                self._settled("unchanged")
            case Rejected():
                self.watch.rejected(outcome)
                self._settled("rejected")
            case Ready():
                self._decode += outcome.seconds / self._decoders
                self._settled("new" if outcome.version is None else "changed")
            case WriteFields():
                self._settled(outcome.counted)
            case Batch():
                self._decode += outcome.decode_seconds / self._decoders
                self._encode += outcome.encode_seconds / self._encoders
                self._note(outcome.notes)
            case Sent():
                self._write += outcome.seconds / self._writers
                for write in outcome.written:
                    self._counts["regions"] += write.regions
                    self._counts[write.counted] += 1
                self.watch.done(len(outcome.written))
                for reject in outcome.rejected:
                    self.add(reject)

    def unchanged(self, photos: int) -> None:
        """So many more photos need no work."""
        self._counts["unchanged"] += photos
        self.watch.done(photos)

    def report(self) -> Report:
        return Report(
            **self._counts,
            seconds=time.perf_counter() - self._started,
            decode=self._decode,
            encode=self._encode,
            write=self._write,
            stopped=self.watch.stop.is_set(),
        )

    def _settled(self, counted: str) -> None:
        self._counts[counted] += 1
        self.watch.done(1)

    def _note(self, notes: Iterable[str]) -> None:
        """Once per run: with photos of many sizes the note would be repeated with other numbers."""
        for note in notes:
            if not self._noted:
                self._noted = True
                self.watch.noted(note)
