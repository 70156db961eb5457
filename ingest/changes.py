"""What has changed in a folder or a store, as it happens: names of photos to look at again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote_plus

from sorce.errors import SorceError
from sorce.pictures.files import Files, is_folder, is_gone
from sorce.pictures.loading import SUFFIXES
from sorce.pictures.source import Source

MOST = 500
"""Changes that are worked on together."""
MAX_WAITING = 100_000
"""Changes that are kept in memory: a file of events may have any number."""
PATIENCE = 0.2
"""A waiting loop checks this often, in seconds, whether it should end."""
ESTABLISHED = 500
"""The watcher of folders returns after this many milliseconds, even if nothing has changed."""


@dataclass(frozen=True, slots=True)
class Touched:
    """A photo that was written or deleted: only its path or URI counts; whether it exists is looked up.

    So the order of events does not matter, and an event may come twice. `at` is the time of the event in seconds since
    1970, and `line` how many lines of events are done with it.
    """

    name: str
    at: float
    line: int = 0


@dataclass
class Changes:
    """Changes that wait. A thread fills it, and calls `end` at the end of its input. It waits while `waiting` is full.

    `established` is set when no later change can be missed.
    """

    waiting: Queue[Touched] = field(default_factory=lambda: Queue(MAX_WAITING))
    established: Event = field(default_factory=Event)
    _ended: Event = field(default_factory=Event)
    _error: Exception | None = None

    def take(self) -> list[Touched] | None:
        """The next changes, or none after a short while; None at the end. Raises SorceError of the reading thread."""
        ended = self._ended.is_set()
        found: list[Touched] = []
        try:
            found.append(self.waiting.get(timeout=0 if ended else PATIENCE))
            while len(found) < MOST:
                found.append(self.waiting.get_nowait())
        except (Empty, ValueError):
            pass
        if not found and ended:
            if self._error is not None:
                raise self._error
            return None
        return found

    @property
    def has_ended(self) -> bool:
        """Whether no more will come. Some may still wait."""
        return self._ended.is_set()

    def end(self, error: Exception | None = None) -> None:
        self._error = error
        self._ended.set()

    def filled_by(self, work: Callable[[Changes], None]) -> Changes:
        """Starts the thread. It ends with the program, as it may wait for input for ever."""

        def fill() -> None:
            try:
                work(self)
            except Exception as error:
                # Of any kind: `take` raises it. Otherwise the run would wait for ever.
                self.end(error)
            else:
                self.end()

        Thread(target=fill, name="changes", daemon=True).start()
        return self


def s3_events(lines: Iterator[bytes], changes: Changes) -> None:
    """Events of S3 as JSON, one a line: `{"Records": [...]}` or one record. Raises SorceError for another line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records = [(_name(record), _time(record)) for record in _records(json.loads(line))]
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise SorceError(
                f"line {number} is not an S3 event; write one JSON object per line, with its Records as S3 sends them."
            ) from error
        photos = [each for each in records if PurePosixPath(each[0]).suffix.lower() in SUFFIXES]
        for place, (name, at) in enumerate(photos, 1):
            # With its last photo the line is done.
            changes.waiting.put(Touched(name, at, number if place == len(photos) else number - 1))


def _records(said: Any) -> list[Any]:
    """Raises LookupError for JSON that is no event: without a word, its photos would be missed."""
    if "s3" in said:
        return [said]
    # S3 sends this when its events are set up.
    return [] if said.get("Event") == "s3:TestEvent" else list(said["Records"])


def _name(record: Any) -> str:
    name = f"s3://{record['s3']['bucket']['name']}/{unquote_plus(record['s3']['object']['key'])}"
    # JSON can name what is no Unicode text, and no object.
    name.encode()
    return name


def _time(record: Any) -> float:
    return datetime.fromisoformat(record["eventTime"]).timestamp() if "eventTime" in record else time.time()


def raw_lines(stream: Any) -> Iterator[bytes]:
    """The lines of an unbuffered stream as they come. A buffered one is locked while it waits, also at the exit."""
    left = b""
    while some := stream.read(1 << 16):
        *whole, left = (left + some).split(b"\n")
        yield from whole
    if left:
        yield left


def watched(folders: Sequence[Path], files: Files, stop: Event, there: Event) -> Callable[[Changes], None]:
    """The work of a thread that watches folders. It sets `there` when no later change can be missed.

    Raises SorceError without the package.
    """
    try:
        from watchfiles import watch
    except ImportError as error:
        raise SorceError("--watch needs a package: pip install 'sorce[watch]'.") from error

    def work(changes: Changes) -> None:
        kwargs = {"watch_filter": None, "stop_event": stop, "rust_timeout": ESTABLISHED, "yield_on_timeout": True}
        try:
            for found in watch(*folders, debounce=400, step=50, raise_interrupt=False, **kwargs):
                there.set()
                now = time.time()
                for path in sorted({path for _, path in found}):
                    for name in _names(Path(path), files):
                        changes.waiting.put(Touched(name, now))
        except OSError as error:
            raise SorceError(
                f"the folders cannot be watched ({error}); on Linux raise fs.inotify.max_user_watches or "
                "max_user_instances, or ingest them now and then without --watch."
            ) from error

    return work


def _names(path: Path, files: Files) -> Iterator[str]:
    """The photo itself; or all photos of a new folder, since the system does not report what was made with it.

    Also what is gone and is no photo: it may have been a folder, and the system does not report what was in it.
    """
    if not files.reaches(path):
        return
    if is_folder(path):
        found = Files([str(path)], ignore=files.ignore)
        yield from (source.name for source in found if isinstance(source, Source))
    elif files.wants(path) or is_gone(path):
        yield str(path)
