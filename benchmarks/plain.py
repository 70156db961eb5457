"""Ingest compared with a plain loop without sorce: the same scenes, each run in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from figures import Line, at_least
from finds import scenes
from photos import command

from sorce.engine import running
from training.mini.bank import SEEN
from training.scenes.collection import REPORTING

PLAIN_LOOP = Path(__file__).with_name("plain_loop.py")
PICTURES, ROUNDS = 90, 3


def measures() -> Iterator[Line]:
    pictures = scenes(REPORTING, SEEN).pictures[:PICTURES]
    plain, ours = list[float](), list[float]()
    with TemporaryDirectory() as folder, running(heap="2g") as url:
        for picture in pictures:
            Path(folder, picture.name).symlink_to(picture)
        for number in range(ROUNDS):
            # The second one profits from a warm engine, so the order alternates.
            for way in (ours, plain) if number % 2 else (plain, ours):
                way.append(by_plain_loop(url, number, folder) if way is plain else by_sorce(url, number, folder))
    ratios = [mine / theirs for mine, theirs in zip(ours, plain, strict=True)]
    note = f"{PICTURES} scenes, {ROUNDS} rounds from {min(ratios):.2f} to {max(ratios):.2f}; from the first photo on"
    yield at_least("ingest: times the plain loop's photos/s", statistics.median(ratios), 2, note)
    yield Line("ingest: photos/s", statistics.median(ours))
    yield Line("ingest: the plain loop's photos/s", statistics.median(plain))


def by_plain_loop(url: str, number: int, folder: str) -> float:
    """Photos per second, without the time to start and to load the model."""
    report = said([sys.executable, str(PLAIN_LOOP), "--index", f"plain-{number}", "--url", url, folder])
    return float(report["photos"] / report["seconds"])


def by_sorce(url: str, number: int, folder: str) -> float:
    report = said(command(url, f"ours-{number}", [folder]))
    return float(report["new"] / report["seconds"])


def said(command: list[str]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return report
