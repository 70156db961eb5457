"""The process that decodes pictures. `sorce.pictures.sandbox` starts it and talks with it.

Each picture takes two messages and two answers. The first message is the bytes of the file; its answer is width and
height. The other side sends the second message when it has memory for that many pixels: the number of rows that it
takes at a time, or nothing for all rows. The decoder writes the first rows into the shared memory. Its answer is the
size of the upright photo, its date, camera, keywords and location. Each further message asks for the next rows, and
gets the same answer. If an answer is a text, there is no picture, and the text is the reason.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import time
from contextlib import suppress
from mmap import mmap
from multiprocessing.connection import Connection

from sorce.errors import BadPhoto
from sorce.pictures.exif import camera, taken_at
from sorce.pictures.isolation import drop_capabilities
from sorce.pictures.keywords import keywords, location
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.loading import Decoded, decoded, opened

STRIP = 4_000_000
"""Bytes of pixels copied at a time, so that the process never holds a photo twice."""


def main() -> None:
    """Arguments: the numbers of a connection and of the shared memory, and the limits in seconds and bytes."""
    connection, shared, seconds, memory = (int(word) for word in sys.argv[1:])
    serve(Connection(connection), shared, DecodeLimits(seconds, memory))


def serve(connection: Connection, shared: int, limits: DecodeLimits) -> None:
    """Answers until the other side closes the connection."""
    drop_capabilities()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, limits.memory)
    _answer(connection, "ready")
    with suppress(EOFError, ConnectionError):
        while True:
            file = io.BytesIO(connection.recv_bytes())
            _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + limits.seconds)
            try:
                decode(connection, shared, file)
            except BadPhoto as error:
                _answer(connection, str(error))
            except MemoryError:
                _answer(connection, limits.too_big)


def decode(connection: Connection, shared: int, file: io.BytesIO) -> None:
    """Raises BadPhoto, and MemoryError at the limit."""
    with opened(file) as image:
        _answer(connection, image.size)
        # Sent when the other side has memory for so many pixels.
        wanted = connection.recv_bytes()
        photo = decoded(image)
        width, height = photo.size
        taken, place = taken_at(image), location(image)
        answer = ((width, height), taken and taken.isoformat(), camera(image), keywords(image), place)
    # The pixels are decoded: a large file need not be in memory beside them.
    file.close()
    rows = int(wanted or height)
    for top in range(0, height, rows):
        if top > 0:
            # The other side has taken the rows before.
            connection.recv_bytes()
        _share(shared, photo, top, min(top + rows, height))
        _answer(connection, answer)


def _share(shared: int, photo: Decoded, top: int, bottom: int) -> None:
    """Writes these rows, and nothing else, into the shared memory."""
    row = 3 * photo.size[0]
    os.ftruncate(shared, row * (bottom - top))
    step = max(1, STRIP // row)
    with mmap(shared, row * (bottom - top)) as pixels:
        for first in range(top, bottom, step):
            pixels.write(photo.rows(first, min(first + step, bottom)).tobytes())


def _answer(connection: Connection, answer: object) -> None:
    connection.send_bytes(json.dumps(answer).encode())


def _limit(kind: int, most: int) -> None:
    """Sets the soft limit, which can be changed again, within the system's hard limit."""
    _, allowed = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if allowed == resource.RLIM_INFINITY else min(most, allowed), allowed))
