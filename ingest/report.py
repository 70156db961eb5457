"""What a run did, and what it reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from sorce.mappings import Rejected


@dataclass(frozen=True, slots=True)
class Report:
    """The totals of a run.

    `others` are the files in the given folders that are no photos, or are ignored. `decode`, `encode` and `write` are
    the seconds that each stage worked: clock time, averaged over its threads. The stage closest to `seconds` is the one
    that the others wait for. `starting` are the seconds before the first photo in which Ray and its workers started.
    `merging` are those after the last photo in which the index was merged. Neither is in `seconds`. `stopped` says that
    the run ended early because it was asked to.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    pruned: int = 0
    others: int = 0
    regions: int = 0
    seconds: float = 0.0
    decode: float = 0.0
    encode: float = 0.0
    write: float = 0.0
    starting: float = 0.0
    merging: float = 0.0
    stopped: bool = False

    @property
    def photos(self) -> int:
        """All photos that were looked at."""
        return self.new + self.changed + self.unchanged + self.rejected

    @property
    def photos_per_second(self) -> float:
        """Of all photos that were looked at, also unchanged ones."""
        return self.photos / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        counts = {
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "rejected": self.rejected,
            "pruned": self.pruned or None,
            "other files left alone": self.others or None,
        }
        photos = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count is not None)
        busy = {"decode": self.decode, "encode": self.encode, "write": self.write}
        shares = ", ".join(f"{stage} {seconds / (self.seconds or 1):.0%}" for stage, seconds in busy.items())
        speed = f"{self.seconds:.1f} s, {self.photos_per_second:.1f} photos/s"
        merged = f"; merged in {self.merging:.1f} s" if self.merging else ""
        return f"{photos}; {self.regions:,} regions; {speed} (busy: {shares}){merged}"


class Watch:
    """Receives the progress of a run, and says whether to go on. This one does nothing; override what you need.

    Set `stop` (from any thread or a signal handler) to end the run early: photos already encoded are still written.
    """

    def __init__(self) -> None:
        self.stop = Event()

    def started(self, report: Callable[[], Report]) -> None:
        """The run has begun; `report` gives its totals so far, from any thread."""

    def done(self, photos: int) -> None:
        """This many more photos are written, need no work, or are rejected."""

    def rejected(self, reject: Rejected) -> None:
        """A file could not become a document."""

    def noted(self, note: str) -> None:
        """What the model does with such photos, if the user should know it. Reported once."""

    def waiting(self, reason: str, seconds: float) -> None:
        """The cluster accepts nothing now; it is asked again for up to so many seconds. Called in a writer's thread."""


class Watches(Watch):
    """Passes everything on to several watches, which share the first one's `stop`."""

    def __init__(self, first: Watch, *others: Watch) -> None:
        super().__init__()
        self.stop = first.stop
        self._all = (first, *others)

    def started(self, report: Callable[[], Report]) -> None:
        for each in self._all:
            each.started(report)

    def done(self, photos: int) -> None:
        for each in self._all:
            each.done(photos)

    def rejected(self, reject: Rejected) -> None:
        for each in self._all:
            each.rejected(reject)

    def noted(self, note: str) -> None:
        for each in self._all:
            each.noted(note)

    def waiting(self, reason: str, seconds: float) -> None:
        for each in self._all:
            each.waiting(reason, seconds)
