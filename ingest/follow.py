"""A continuous ingest: ingests photos that come, deletes those that go, and says how far behind it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sorce.errors import BadPhoto
from sorce.ingest.actions import Deletion
from sorce.ingest.changes import Changes, Touched
from sorce.ingest.guard import Guard, IndexReplaced
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import Options, bring_in
from sorce.ingest.report import Report, Watch
from sorce.ingest.retry import Retry
from sorce.ingest.write import Sender
from sorce.mappings import Rejected
from sorce.models.model import Model
from sorce.pictures.files import Naming, absolute_path, is_gone
from sorce.pictures.loading import SUFFIXES
from sorce.pictures.remote import is_remote, named_source
from sorce.pictures.source import Source
from sorce.pictures.stores import PhotoGone

RESCAN = 600.0
"""Seconds between two scans of all folders: events may be lost, and changes by other machines cause none."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What was done so far: all changes of the first `lines` of events.

    `waiting` changes wait. In the last batch, the oldest change was `behind` seconds old.
    """

    report: Report
    lines: int
    waiting: int
    behind: float

    def __str__(self) -> str:
        done = self.report
        counts = f"{done.new:,} new, {done.changed:,} changed, {done.pruned:,} removed, {done.rejected:,} rejected"
        return f"{counts}; {self.waiting:,} changes wait, {self.behind:.0f} s behind"


@dataclass(frozen=True)
class ContinuousRun:
    """A continuous run. `rescan` looks at all folders, if there are some; `tell` gets each state.

    `prune` removes what is gone from the folders, and returns how many photos.
    """

    target: TargetIndex
    model: Model[Any]
    naming: Naming
    options: Options
    watch: Watch
    tell: Callable[[Followed], None]
    rescan: Callable[[], Report] | None = None
    prune: Callable[[], int] | None = None
    every: float = RESCAN

    def run(self, changes: Changes) -> Report:
        """Until the changes end, or the run is asked to stop. Raises SorceError; what is written stays."""
        total, lines, looked = Report(), 0, time.monotonic()
        if self.rescan is not None:
            total = added(total, self._through(self.rescan))
            self.tell(Followed(total, lines, changes.waiting.qsize(), 0.0))
        while not self.watch.stop.is_set() and (touched := changes.take()) is not None:
            if touched:
                total = added(total, self._through(partial(self._work, touched)))
                if self.watch.stop.is_set():
                    break
                lines = touched[-1].line
                self.tell(Followed(total, lines, changes.waiting.qsize(), time.time() - touched[0].at))
            if self.rescan is not None and time.monotonic() - looked > self.every:
                total, looked = added(total, self._through(self.rescan)), time.monotonic()
        return replace(total, stopped=self.watch.stop.is_set())

    def _through(self, work: Callable[[], Report]) -> Report:
        """Does the work; again if the alias was rolled over meanwhile. What was written before counts as unchanged.

        Raises IndexReplaced if the name stands for something else now.
        """
        try:
            return work()
        except IndexReplaced:
            if not self._was_rolled_over():
                raise
            self.watch.noted(f"'{self.target.asked}' was rolled over; new photos go to '{self.target.name}'.")
        return self._through(work)

    def _was_rolled_over(self) -> bool:
        """Whether the alias writes to another index now, and still has the one before. The target is then new, too."""
        before, now = self.target.found, self.target.look_up()
        return before is not None and now is not None and before.uuid in {each.uuid for each in now.others}

    def _work(self, touched: Sequence[Touched]) -> Report:
        there: list[Source | Rejected] = []
        gone: list[Source] = []
        lost: list[Path] = []
        for name in dict.fromkeys(each.name for each in touched):
            found = self._source(name)
            if not isinstance(found, _Gone):
                there.append(found)
            elif is_remote(name) or Path(name).suffix.lower() in SUFFIXES:
                gone.append(found.source)
            else:
                lost.append(Path(name))
        report = bring_in(self.target, self.model, there, self.options, self.watch) if there else Report()
        return replace(report, pruned=self._remove(gone) + self._remove_below(lost))

    def _source(self, name: str) -> Source | Rejected | _Gone:
        """Looks up whether the photo is there now."""
        if not is_remote(name):
            path = absolute_path(name)
            source = self.naming.source(path)
            return _Gone(source) if isinstance(source, Source) and is_gone(path) else source
        source = named_source(name)
        if isinstance(source, Rejected) or source.look is None:
            return source
        try:
            return source.as_it_is(source.look())
        except PhotoGone:
            return _Gone(source)
        except BadPhoto:
            return source

    def _remove(self, gone: Sequence[Source]) -> int:
        """Deletes their documents, in the state that was read."""
        if not gone or self.target.found is None or self.watch.stop.is_set():
            return 0
        retry = Retry(self.options.retry_timeout, self.watch)
        stored = retry.ask(partial(self.target.stored, [each.photo_id for each in gone])) or {}
        deletions = [
            Deletion(each.name, each.photo_id, "pruned", stored[each.photo_id].version)
            for each in gone
            if each.photo_id in stored
        ]
        if not deletions:
            return 0
        sent = Sender(self.target.client, Guard.of(self.target.found), retry).send(deletions)
        retry.ask(self.target.refresh)
        return len(sent.written)

    def _remove_below(self, lost: Sequence[Path]) -> int:
        """Deletes the photos of folders that were moved or renamed, as a look at all folders would, but now."""
        if self.prune is None or self.watch.stop.is_set():
            return 0
        retry = Retry(self.options.retry_timeout, self.watch)
        below = (partial(self.target.has_photos, self.naming.uris_below(path)) for path in lost)
        return self.prune() if any(retry.ask(has_some) for has_some in below) else 0


@dataclass(frozen=True, slots=True)
class _Gone:
    """A photo that is no longer where it was."""

    source: Source


def added(one: Report, other: Report) -> Report:
    """The sum of two reports."""
    names = ("new", "changed", "unchanged", "rejected", "pruned", "regions", "seconds", "decode", "encode", "write")
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in names})
