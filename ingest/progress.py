"""What a person sees of a run: the bar, the rejects, and what Ctrl-C does."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import IO

from tqdm import tqdm  # type: ignore[import-untyped]

from sorce.ingest.report import Watch
from sorce.mappings import Rejected
from sorce.pictures.sandbox import end_all

INTERRUPTED = 130
"""The exit code."""


class Progress(Watch):
    """Progress and rejects on stderr, and the rejects in a file as JSON lines, too, if there is one."""

    def __init__(self, photos: int, rejects: IO[str] | None, quiet: bool) -> None:
        super().__init__()
        self._rejects = rejects
        self._quiet = quiet
        # `None` shows a bar on a terminal only: in a log it would be a line for each step.
        self._bar = tqdm(total=photos, unit=" photos", file=sys.stderr, disable=True if quiet else None, smoothing=0.1)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def say(self, sentence: str) -> None:
        if not self._quiet:
            self._bar.write(sentence, file=sys.stderr)

    def done(self, photos: int) -> None:
        self._bar.update(photos)

    def rejected(self, reject: Rejected) -> None:
        self.say(f"rejected: {reject.path} {reject.reason}")
        if self._rejects is not None:
            # At once, so that it is there after a power cut.
            self._rejects.write(json.dumps({"path": reject.path, "reason": reject.reason}) + "\n")
            self._rejects.flush()

    def noted(self, note: str) -> None:
        self.say(f"note: {note}")

    def waiting(self, reason: str, seconds: float) -> None:
        self.say(f"waiting for the cluster, for {seconds:.0f} s at most: {reason}")


@contextmanager
def interruptible(progress: Progress) -> Iterator[None]:
    """The first Ctrl-C ends the run in good order, the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(signal.SIGINT, stop_at_once)
        progress.stop.set()
        progress.say("finishing what is under way; Ctrl-C again stops at once.")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def stop_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Waits for no thread: what each has under way, a photo or a request, can be repeated."""
    end_all()
    os._exit(INTERRUPTED)
