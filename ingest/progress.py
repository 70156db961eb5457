"""What the user sees of a run: the bar, the rejects, and the effect of Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType, TracebackType

from tqdm import tqdm  # type: ignore[import-untyped]

from sorce.errors import SorceError
from sorce.ingest.report import Report, Watch
from sorce.mappings import Rejected
from sorce.pictures.sandbox import end_all
from sorce.terminal import printable

INTERRUPTED = 130
"""The exit code."""

ENDS = (signal.SIGINT, signal.SIGTERM)
"""Service managers, containers and batch queues send SIGTERM."""

PAUSE = 10.0
"""Seconds between two lines of progress if there is no terminal for a bar."""


class Progress(Watch):
    """Shows progress and rejects on stderr, and also writes the rejects to a file as JSON lines, if one is given.

    On a terminal, progress is a bar; elsewhere, as in a log, it is a line every few seconds.
    """

    def __init__(self, photos: int, rejects: str | None, quiet: bool, *, bar: bool = True) -> None:
        """Without a `bar` only sentences are shown. Raises SorceError if the file for rejects cannot be written."""
        super().__init__()
        self._photos, self._done, self._quiet = photos, 0, quiet
        self._rejects = None if rejects is None else RejectsFile(rejects)
        # `None` shows a bar only on a terminal.
        self._bar = tqdm(
            total=photos, unit=" photos", file=sys.stderr, disable=None if bar and not quiet else True, smoothing=0.1
        )
        self._started = self._told = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if self._rejects is not None:
            self._rejects.close()

    def started(self, report: Callable[[], Report]) -> None:  # noqa: ARG002
        """The time before counts neither for the speed nor for the time left."""
        self._started = self._told = time.monotonic()
        self._bar.reset()

    def say(self, sentence: str) -> None:
        if not self._quiet:
            self._bar.write(printable(sentence), file=sys.stderr)

    def done(self, photos: int) -> None:
        if not photos:
            return
        self._done += photos
        self._bar.update(photos)
        now = time.monotonic()
        if self._photos and self._bar.disable and now - self._told >= PAUSE:
            self._told = now
            speed = self._done / (now - self._started)
            left = timedelta(seconds=round((self._photos - self._done) / speed))
            self.say(f"{self._done:,} of {self._photos:,} photos, {speed:.1f} photos/s, about {left} left")

    def rejected(self, reject: Rejected) -> None:
        self.say(f"rejected: {reject.path} {reject.reason}")
        if self._rejects is not None:
            self._rejects.add(reject)

    def noted(self, note: str) -> None:
        self.say(f"note: {note}")

    def waiting(self, reason: str, seconds: float) -> None:
        self.say(f"waiting for the cluster, for {seconds:.0f} s at most: {reason}")


class RejectsFile:
    """One JSON object per line. Unbuffered, so that no line is lost in a power cut."""

    def __init__(self, path: str) -> None:
        """Raises SorceError."""
        self._path = path
        try:
            self._file = open(path, "wb", buffering=0)  # noqa: PTH123, SIM115
        except OSError as error:
            raise self._failed(error) from error

    def add(self, reject: Rejected) -> None:
        """Raises SorceError."""
        line = json.dumps({"path": reject.path, "reason": reject.reason}) + "\n"
        try:
            self._file.write(line.encode())
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        self._file.close()

    def _failed(self, error: OSError) -> SorceError:
        return SorceError(
            f"the rejects cannot be written to '{self._path}' ({error.strerror}); name another file with --rejects, "
            "and run the same command again for the rest."
        )


@contextmanager
def interruptible(progress: Progress) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the run in good order, the second ends it at once."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for each in ENDS:
            signal.signal(each, stop_at_once)
        progress.stop.set()
        progress.say("finishing what is under way; Ctrl-C again stops at once.")

    before = {each: signal.signal(each, stop) for each in ENDS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def stop_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Waits for no thread: the photo or request that a thread is working on can be repeated."""
    end_all()
    os._exit(INTERRUPTED)
