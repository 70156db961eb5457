"""A second ingest of large files that have not changed, compared with one with --checksum, which reads them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from figures import Line, at_most
from photos import command
from PIL import Image
from ray_ingest import LONG_AGO

from sorce.engine import running

FILES = int(os.environ.get("UNREAD_FILES", "5000"))
"""A smaller number for a first look: UNREAD_FILES=500."""

CONTENTS = 50
"""Different files; the others are links to them, so that they fit into the cache and on a disk."""

BYTES = 5_000_000


def measures() -> Iterator[Line]:
    with TemporaryDirectory() as folder, running() as url:
        photos = large_files(Path(folder, "photos"))
        ingested(url, photos)
        read_all, all_bytes = ingested(url, photos, "--checksum")
        again, some_bytes = ingested(url, photos)
    assert (again["unchanged"], read_all["unchanged"]) == (FILES, FILES)
    name = f"{FILES:,} files of {BYTES / 1e6:.0f} MB, warm and unchanged"
    yield Line(f"{name}: GB read", some_bytes / 1e9, note=f"with --checksum {all_bytes / 1e9:.1f} GB (rchar)")
    note = f"{again['seconds']:.1f} s; with --checksum {read_all['seconds']:.1f} s"
    yield at_most(f"{name}: time / that with --checksum", again["seconds"] / read_all["seconds"], 0.1, note)


def large_files(folder: Path) -> Path:
    """Photos of few pixels, filled up to their size. The disk holds each content once."""
    folder.mkdir()
    for number in range(FILES):
        file = folder / f"{number:05}.jpg"
        if number >= CONTENTS:
            file.hardlink_to(folder / f"{number % CONTENTS:05}.jpg")
            continue
        Image.new("RGB", (64, 48), (5 * number, 90, 200)).save(file)
        with file.open("ab") as stream:
            stream.write(bytes(BYTES - file.stat().st_size))
        os.utime(file, LONG_AGO)
    return folder


def ingested(url: str, photos: Path, *more: str) -> tuple[dict[str, Any], int]:
    """The report of an ingest, and the bytes that its process has read by then, from the cache or the disk."""
    # The system drops the counts of a process that is waited for, so this one tells its own at its end.
    words = command(url, "large", [str(photos)], "--regions", "whole", *more)
    program = words.index("-c") + 1
    words[program] = f"import atexit, pathlib, sys; atexit.register({TELL}); {words[program]}"
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    counts = dict(line.split(": ") for line in done.stderr.splitlines() if line.startswith("rchar: "))
    return json.loads(done.stdout), int(counts["rchar"])


TELL = "lambda: sys.stderr.write(pathlib.Path('/proc/self/io').read_text())"
"""Python ends the decoders before, whose reads count for the process that has waited for them."""
