"""128 real photos: all are indexed, none is rejected, memory does not grow, and no work is done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from figures import Line, at_most, exactly, not_taken

from sorce.cluster import connect
from sorce.engine import running

PHOTOS = Path(__file__).parents[2] / "shared/data/photos/images"
ROUNDS = 8
"""The number of links to each photo. It makes the ingest as many times as long."""


def measures() -> Iterator[Line]:
    if not PHOTOS.is_dir():
        yield not_taken("128 photos", f"{PHOTOS} is not on this machine")
        return
    with running() as url:
        code, report = ingest(url, "photos", [str(PHOTOS)])
        yield exactly("128 photos: exit code", code, 0)
        yield exactly("128 photos: rejected", report["rejected"], 0)
        yield exactly("128 photos: documents", connect(url).count(index="photos")["count"], 128)
        _, again = ingest(url, "photos", [str(PHOTOS)])
        yield exactly("128 photos, again: decoded and encoded", again["new"] + again["changed"] + again["regions"], 0)
        yield at_most("memory of 1,024 photos as a multiple of that of 128 (whole)", _growth(url), 1.1)


def _growth(url: str) -> float:
    """The growth of peak memory in an ingest eight times as long: each photo has eight links."""
    with TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            (Path(folder) / str(number)).symlink_to(PHOTOS)
        few = peak(url, "few", [str(PHOTOS)])
        return peak(url, "many", [folder]) / few


def ingest(url: str, index: str, paths: list[str]) -> tuple[int, dict[str, Any]]:
    """The exit code and the report of `sorce ingest`."""
    done = subprocess.run(command(url, index, paths), capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def peak(url: str, index: str, paths: list[str]) -> float:
    """The peak memory of `sorce ingest` in bytes, as reported by the operating system."""
    # In a process of its own, since the system keeps one maximum for all children of a process.
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run(
        [sys.executable, "-c", script, *command(url, index, paths, "--regions", "whole")],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout) * (1 if sys.platform == "darwin" else 1024)


def command(url: str, index: str, paths: list[str], *more: str) -> list[str]:
    ingest = [sys.executable, "-c", "from sorce.cli import main; main()", "ingest", "--quiet", "--json"]
    return [*ingest, "--model", "mini", "--url", url, "--index", index, *more, *paths]
