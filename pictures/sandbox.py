"""Decodes pictures in separate processes: a picture that crashes, blocks or bloats a decoder affects only itself.

A thread is not enough: it cannot be stopped, and has no memory of its own to limit. Pillow's own limits count only
pixels, but a small file can ask for days of work or for gigabytes of tags.

This module starts the processes. They run `sorce.pictures.decoder`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from mmap import mmap
from multiprocessing.connection import Pipe
from tempfile import TemporaryFile
from threading import Lock
from typing import Any

from PIL import Image

from sorce.errors import BadPhoto, SorceError
from sorce.mappings import Picture
from sorce.pictures.isolation import environment, hide_this_process
from sorce.pictures.limits import MAX_PIXELS, DecodeLimits

START = """import sys
sys.path = [folder for folder in sys.path if folder]
from sorce.pictures.decoder import main
main()"""
"""Not `-m`, which imports from the current folder first: the pictures may be there, with a file `json.py`."""

STARTING = 120
"""Seconds by the clock for a decoder to start: it imports Pillow, perhaps from a slow disk on a busy machine."""

ENDING = 10
"""Seconds by the clock for a decoder to end after it closed its connection."""

MAX_ANSWER = 1 << 16
"""Maximum bytes of an answer. A decoder that was exploited by a picture may send anything."""

_Said = tuple[datetime | None, str | None, tuple[str, ...], tuple[float, float] | None]
"""Date, camera, keywords and location."""

BY_OTHERS = frozenset({-signal.SIGKILL, -signal.SIGTERM})
"""Exit codes of a decoder killed from outside, as by a system short of memory. Our own limits cause neither."""


class DecoderProcess:
    """A process that decodes pictures, one at a time. Not thread-safe."""

    def __init__(self, limits: DecodeLimits) -> None:
        """Raises SorceError if no process can be started."""
        self._limits = limits
        self._content = b""
        self._pixels = -1
        self._process: subprocess.Popen[bytes]
        self._start()

    def pixels(self, content: bytes) -> int:
        """The number of pixels declared by a picture file: only its header is read. Raises BadPhoto."""
        self._content = content
        with self._checking():
            width, height = self._ask(content)
            return int(width * height)

    def picture(self, name: str = "") -> Picture:
        """The picture of the last `pixels` call. Raises BadPhoto."""
        with self._decoded() as (size, pixels, said):
            # The type stubs require bytes; any buffer works.
            image = Image.frombuffer("RGB", size, pixels, "raw", "RGB", 0, 1)  # type: ignore[arg-type]
        return Picture(image, name, *said)

    def strips(self, rows: int) -> tuple[tuple[int, int], Iterator[Image.Image]]:
        """The size of the picture of the last `pixels` call, and its pixels, so many rows at a time. Take all of them.

        The whole picture is never in this process's memory, and only once in the decoder's. Raises BadPhoto.
        """
        requests = [self._content, str(rows).encode()]
        size, _ = self._facts(*requests)

        def images() -> Iterator[Image.Image]:
            for top in range(0, size[1], rows):
                if top > 0:
                    requests.append(b"next")
                    self._facts(*requests, size=size)
                yield self._shared(size[0], min(rows, size[1] - top))
            self._content = b""
            os.ftruncate(self._pixels, 0)

        return size, images()

    @contextmanager
    def _decoded(self) -> Iterator[tuple[tuple[int, int], mmap, _Said]]:
        (width, height), said = self._facts(self._content, b"")
        self._content = b""
        with mmap(self._pixels, 3 * width * height) as pixels:
            yield (width, height), pixels, said
        os.ftruncate(self._pixels, 0)

    def _facts(self, *requests: bytes, size: tuple[int, int] | None = None) -> tuple[tuple[int, int], _Said]:
        """What the decoder says of a picture: its size, which must be this one if it is given, and the rest."""
        with self._checking():
            (width, height), said, camera, words, place = self._ask(*requests)
            taken_at = said and datetime.fromisoformat(said)
            if min(width, height) < 1 or width * height > MAX_PIXELS or size not in (None, (width, height)):
                raise ValueError(f"{width} x {height} pixels")
            keywords = tuple(map(str, words))
            location = None if place is None else (float(place[0]), float(place[1]))
        return (width, height), (taken_at, camera, keywords, location)

    def _shared(self, width: int, rows: int) -> Image.Image:
        """The rows that are in the shared memory."""
        with self._checking():
            # Not mapped: reading a map that the decoder has made shorter would end this process.
            content = os.pread(self._pixels, 3 * width * rows, 0)
            return Image.frombytes("RGB", (width, rows), content)

    def close(self) -> None:
        self._content = b""
        if self.works:
            self._connection.close()
        with suppress(OSError):
            os.close(self._pixels)
        self._pixels = -1
        self._process.kill()
        self._process.wait()
        _running.discard(self._process)

    @property
    def works(self) -> bool:
        return not self._connection.closed

    @property
    def waits(self) -> bool:
        """Whether it waits for a message about a picture that was not taken."""
        return bool(self._content)

    def _start(self) -> None:
        hide_this_process()
        self._connection, theirs = Pipe()
        self._pixels = _shared_memory()
        with theirs:
            fds = (theirs.fileno(), self._pixels)
            words = ["-c", START, *fds, self._limits.seconds, self._limits.memory]
            self._process = subprocess.Popen(
                [sys.executable, *map(str, words)],
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Some C decoders print messages about a file there.
                stderr=subprocess.DEVNULL,
                # Otherwise Ctrl-C would end the decoder, too, and its picture would be rejected.
                start_new_session=True,
                env=environment(),
            )
        _running.add(self._process)
        self._wait_for_start()

    def _wait_for_start(self) -> None:
        try:
            if not self._connection.poll(STARTING):
                self.close()
                raise SorceError(
                    f"the process that opens pictures did not start within {STARTING} s; is this machine too busy?"
                )
            self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            self.close()
            raise SorceError(
                f"the process that opens pictures ended as it started ({_ending(self._process.returncode)}); "
                "is there memory for it?"
            ) from error

    def _ask(self, *requests: bytes) -> Any:
        """The answer to the last request. If the decoder was killed from outside, a new one gets all requests again."""
        try:
            return self._answer(requests[-1])
        except _Ended as ended:
            if ended.code not in BY_OTHERS:
                raise self._blame(ended) from ended
        self._start()
        try:
            return [self._answer(request) for request in requests][-1]
        except _Ended as ended:
            raise self._blame(ended) from ended

    def _answer(self, request: bytes) -> Any:
        try:
            self._connection.send_bytes(request)
            if not self._connection.poll(self._limits.clock):
                self.close()
                raise BadPhoto(self._limits.stuck)
            # Not unpickled: that could run code, and an exploited decoder may send anything.
            answer = json.loads(self._connection.recv_bytes(MAX_ANSWER))
        except (EOFError, OSError) as error:
            self._connection.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING)
            self.close()
            raise _Ended(self._process.returncode) from error
        if isinstance(answer, str):
            self._content = b""
            raise BadPhoto(answer)
        return answer

    @contextmanager
    def _checking(self) -> Iterator[None]:
        """An answer that makes no sense comes from a decoder exploited by a picture."""
        try:
            yield
        except (ValueError, TypeError) as error:
            self.close()
            raise BadPhoto("makes its decoder give answers that make no sense") from error

    def _blame(self, ended: _Ended) -> BadPhoto:
        """The reason, if the picture ended the process."""
        if ended.code == -signal.SIGXCPU:
            return BadPhoto(self._limits.too_slow)
        return BadPhoto(f"crashes what opens it ({_ending(ended.code)})")


class _Ended(Exception):
    """The decoder has ended."""

    def __init__(self, code: int) -> None:
        super().__init__(_ending(code))
        self.code = code


_running: set[subprocess.Popen[bytes]] = set()


def end_all() -> None:
    """Kills all decoders, for a program that must end at once: otherwise each would finish its picture."""
    for process in list(_running):
        process.kill()


class DecoderPool:
    """As many decoders as threads use at once, each started when first needed. For use from any thread."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._idle: list[DecoderProcess] = []
        self._lock = Lock()

    def close(self) -> None:
        """Call this when no picture is being decoded."""
        while self._idle:
            self._idle.pop().close()

    def picture(self, content: bytes, name: str = "") -> Picture:
        """The picture of a file's bytes. Raises BadPhoto."""
        with self.one() as decoder:
            decoder.pixels(content)
            return decoder.picture(name)

    @contextmanager
    def one(self) -> Iterator[DecoderProcess]:
        """A decoder for one picture."""
        with self._lock:
            decoder = self._idle.pop() if self._idle else None
        decoder = decoder or DecoderProcess(self._limits)
        try:
            yield decoder
        finally:
            if decoder.waits:
                # It would use the next picture as the message that it waits for.
                decoder.close()
            if decoder.works:
                with self._lock:
                    self._idle.append(decoder)


def _shared_memory() -> int:
    """The descriptor of a nameless file, in memory if the system supports that: a pipe would need copies."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sorce-photo")
    with TemporaryFile() as file:
        return os.dup(file.fileno())


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
