"""`sorce serve --page` as a process of its own, and the memory that it and its decoders take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class PageBench:
    """A served page, its process, texts to search for, ids of photos, and one huge photo with its file."""

    url: str
    process: int
    texts: tuple[str, ...]
    photo_ids: tuple[str, ...]
    huge: str
    huge_file: Path
    regions: int


class PageServer:
    """A context that serves meanwhile."""

    def __init__(self, options: Sequence[str], environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-uc", "from sorce.cli import main; main()", "serve", "--port", "0", *options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, start_new_session=True
        )
        self.url = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> PageServer:
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().split(" at ")[1].strip().removesuffix("/v1/embeddings")
        # What it prints after that must not fill the pipe.
        Thread(target=self._process.stdout.read, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(60)


def memory_while(process: int, work: Callable[[], None]) -> tuple[int, int, float]:
    """The bytes of the process and its children before the work and the most during it, and the seconds of the work."""
    before = memory(process)
    most, done = [before], Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            most.append(memory(process))

    looking = Thread(target=look)
    looking.start()
    started = time.monotonic()
    try:
        work()
    finally:
        seconds = time.monotonic() - started
        done.set()
        looking.join()
    return before, max(most), seconds


def memory(process: int) -> int:
    """The bytes in memory of a process and its children. What they share counts once, also just after a fork."""
    parts = [own_and_shared(each) for each in (process, *children(process))]
    return sum(own for own, _ in parts) + max(shared for _, shared in parts)


def children(process: int) -> list[int]:
    """The decoders: direct children of any thread."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            found += [int(each) for each in (task / "children").read_text().split()]
        except FileNotFoundError:
            # The thread has ended.
            continue
    return found


def own_and_shared(process: int) -> tuple[int, int]:
    """The bytes that only this process has in memory, and those that others have, too; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    sizes = Counter({name: int(value.split()[0]) << 10 for name, value in (line.split(":", 1) for line in lines[1:])})
    return sizes["Private_Clean"] + sizes["Private_Dirty"], sizes["Shared_Clean"] + sizes["Shared_Dirty"]
