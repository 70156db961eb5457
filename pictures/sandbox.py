"""Pictures opened in a process of its own: one that crashes, hangs or bloats a decoder costs itself alone.

A thread cannot be stopped and has no memory of its own to limit; Pillow's own limits count pixels only, where a small
file can ask for days of work or for gigabytes of tags.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from mmap import mmap
from multiprocessing.connection import Connection, Pipe
from tempfile import TemporaryFile
from threading import Lock
from typing import Any

from PIL import Image, PngImagePlugin

from sorce.errors import BadPhoto, SorceError
from sorce.mappings import Picture
from sorce.pictures.exif import camera, taken_at
from sorce.pictures.loading import opened, upright

STRIP = 4_000_000
"""Bytes of pixels that are handed over at once, so that the process never holds a photo twice for that."""

START = """import sys
sys.path = [folder for folder in sys.path if folder]
from sorce.pictures.sandbox import main
main()"""
"""Not `-m`, which would import from the current folder first: that may hold the pictures, and a `json.py`."""

SECRETS = ("OPENSEARCH_", "AWS_", "SORCE_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""How variables begin that what opens a picture has no use for, and a picture that takes it over has."""

STARTING = 120
"""Seconds by the clock until a process answers; it imports Pillow, from a slow disk and on a busy machine."""

BY_OTHERS = frozenset({-signal.SIGKILL, -signal.SIGTERM})
"""How a process ends that somebody else ended, such as a system that runs out of memory: no limit of ours does so."""

PATIENCE = 10
"""By the clock a picture has this many times its limit of CPU time: the machine may be busy, or asleep for a while."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one picture may cost: seconds of CPU time, and bytes of memory of the process that opens it."""

    seconds: int = 120
    memory: int = 2 << 30

    @property
    def too_slow(self) -> str:
        return f"takes more than {self.seconds} s to open"

    @property
    def too_big(self) -> str:
        return f"needs more than {self.memory / 2**30:.2g} GB of memory to open"


class DecoderProcess:
    """A process that opens pictures, one at a time. One thread."""

    def __init__(self, limits: DecodeLimits) -> None:
        """Raises SorceError where no process can be started."""
        self._limits = limits
        self._content = b""
        self._start()

    def pixels(self, content: bytes) -> int:
        """How many a picture file says it has: only its header is read. Raises BadPhoto."""
        self._content = content
        width, height = self._asked(content)
        return int(width * height)

    def picture(self, name: str = "") -> Picture:
        """The picture whose pixels were asked for last. Raises BadPhoto."""
        (width, height), date, maker = self._asked(self._content, b"")
        self._content = b""
        with mmap(self._pixels, 3 * width * height) as pixels:
            # Anything with a buffer will do.
            image = Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)  # type: ignore[arg-type]
        os.ftruncate(self._pixels, 0)
        return Picture(image, name, date and datetime.fromisoformat(date), maker)

    def close(self) -> None:
        self._content = b""
        if self.works:
            self._connection.close()
            os.close(self._pixels)
        self._process.kill()
        self._process.wait()
        _running.discard(self._process)

    @property
    def works(self) -> bool:
        return not self._connection.closed

    def _start(self) -> None:
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
                # Some decoders in C write there what they think of a file.
                stderr=subprocess.DEVNULL,
                # Otherwise Ctrl-C would reach it, too, and the photo under way would be rejected.
                start_new_session=True,
                env=_environment(),
            )
        _running.add(self._process)
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

    def _asked(self, *requests: bytes) -> Any:
        """The answer to the last; those before it led there, and are repeated to a new process."""
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
            if not self._connection.poll(PATIENCE * self._limits.seconds):
                self.close()
                raise BadPhoto(self._limits.too_slow)
            # Not unpickled: that could run what a broken decoder was made to say.
            answer = json.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionError) as error:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
            self.close()
            raise _Ended(self._process.returncode) from error
        if isinstance(answer, str):
            raise BadPhoto(answer)
        return answer

    def _blame(self, ended: _Ended) -> BadPhoto:
        """The end of the process is the picture's fault."""
        if ended.code == -signal.SIGXCPU:
            return BadPhoto(self._limits.too_slow)
        return BadPhoto(f"crashes what opens it ({_ending(ended.code)})")


class _Ended(Exception):
    """The process is no more."""

    def __init__(self, code: int) -> None:
        super().__init__(_ending(code))
        self.code = code


_running: set[subprocess.Popen[bytes]] = set()


def end_all() -> None:
    """Kills the processes of all openers, for a program that is to end at once: else they finish their picture."""
    for process in list(_running):
        process.kill()


class DecoderPool:
    """As many processes as threads ask at once, each started when it is first needed. Any thread."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._idle: list[DecoderProcess] = []
        self._lock = Lock()

    def close(self) -> None:
        """When no picture is under way."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def one(self) -> Iterator[DecoderProcess]:
        """An opener for one picture."""
        with self._lock:
            opener = self._idle.pop() if self._idle else None
        opener = opener or DecoderProcess(self._limits)
        try:
            yield opener
        except BadPhoto:
            raise
        except BaseException:
            # It would take the next picture's content for the go-ahead that this one was waiting for.
            opener.close()
            raise
        finally:
            if opener.works:
                with self._lock:
                    self._idle.append(opener)


def _shared_memory() -> int:
    """The descriptor of a file without a name, in memory where the system has such: a pipe would cost copies."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("sorce-photo")
    with TemporaryFile() as file:
        return os.dup(file.fileno())


def _environment() -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
    # Their threads would take memory before a picture does.
    return given | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def serve(connection: Connection, shared: int, limits: DecodeLimits) -> None:
    """The other side of an DecoderProcess: answers until that is gone, and leaves the pixels in the shared memory."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, limits.memory)
    # A comment may be as long as there is memory for: Photoshop's are, and the picture is none the worse.
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
    _say(connection, "ready")
    with suppress(EOFError, ConnectionError):
        while True:
            content = connection.recv_bytes()
            _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + limits.seconds)
            try:
                _open(connection, shared, content)
            except BadPhoto as error:
                _say(connection, str(error))
            except MemoryError:
                _say(connection, limits.too_big)


def _open(connection: Connection, shared: int, content: bytes) -> None:
    with opened(io.BytesIO(content)) as image:
        _say(connection, image.size)
        # The other side waits until it has room for so many pixels.
        connection.recv_bytes()
        photo = upright(image)
        date, maker = taken_at(image), camera(image)
    width, height = photo.size
    os.ftruncate(shared, 3 * width * height)
    rows = max(1, STRIP // (3 * width))
    with mmap(shared, 3 * width * height) as pixels:
        for top in range(0, height, rows):
            pixels.write(photo.crop((0, top, width, min(top + rows, height))).tobytes())
    _say(connection, (photo.size, date and date.isoformat(), maker))


def _say(connection: Connection, answer: object) -> None:
    connection.send_bytes(json.dumps(answer).encode())


def _limit(kind: int, most: int) -> None:
    """Sets the soft limit, which may be set again, within what the system allows."""
    _, allowed = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if allowed == resource.RLIM_INFINITY else min(most, allowed), allowed))


def main() -> None:
    """What the process runs."""
    given = [int(word) for word in sys.argv[1:]]
    serve(Connection(given[0]), given[1], DecodeLimits(*given[2:]))
