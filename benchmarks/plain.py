"""Ingest against the loop that one would write without sorce, on the same scenes, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Line, at_least
from finds import scenes
from photos import command

from sorce.engine import running
from sorce.evaluate.scenes.collection import REPORTING
from sorce.models.mini.training.bank import SEEN

PLAIN_LOOP = Path(__file__).with_name("plain_loop.py")
PICTURES = 150


def measures() -> Iterator[Line]:
    pictures = scenes(REPORTING, SEEN).pictures[:PICTURES]
    with TemporaryDirectory() as folder, running() as url:
        for picture in pictures:
            Path(folder, picture.name).symlink_to(picture)
        plain = seconds([sys.executable, str(PLAIN_LOOP), "--index", "plain", "--url", url, folder])
        ours = seconds(command(url, "ours", [folder]))
    note = f"{ours:.0f} s against {plain:.0f} s for {PICTURES} scenes, start and model's loading included"
    yield at_least("ingest: times faster than the plain loop", plain / ours, 2, note)


def seconds(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started
