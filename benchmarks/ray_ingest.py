"""`sorce ingest --ray` against the local ingest: its time, what it stores though processes are killed, its memory."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from figures import Line, at_most, exactly
from opensearchpy import OpenSearch, helpers
from photos import command
from PIL import Image

from sorce.cluster import connect
from sorce.engine import running

PHOTOS = 1000
KILLED, KILLS, DRIVERS = 3000, 20, 3
TINY, TIMES = 10_000, 10
BY_TWO = ("--ray", "--workers", "2")
LONG_AGO = (1_700_000_000, 1_700_000_000)

Documents = dict[str, dict[str, Any]]


def measures() -> Iterator[Line]:
    with TemporaryDirectory() as folder, running() as url:
        photos = drawn(Path(folder, "photos"), PHOTOS, 256)
        yield from time_and_documents(url, photos)
        yield killed(url, drawn(Path(folder, "killed"), KILLED, 64), KILLS, DRIVERS)
        yield memory(url, Path(folder), TINY // TIMES)


def drawn(folder: Path, number: int, side: int) -> Path:
    """A folder of photos of noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for each in range(number):
        file = folder / f"{each:05}.png"
        Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(file)
        # The time of a file changed just now is not stored.
        os.utime(file, LONG_AGO)
    return folder


def time_and_documents(url: str, photos: Path, rounds: int = 3) -> Iterator[Line]:
    """The two kinds of ingest in turns, each into a new index."""
    ratios, starts = [], []
    for number in range(rounds):
        here, by_ray = (
            ingested(url, f"{name}-{number}", photos, *more) for name, more in (("here", ()), ("ray", BY_TWO))
        )
        ratios.append(by_ray["seconds"] / here["seconds"])
        starts.append(by_ray["starting"])
    note = f"{rounds} rounds from {min(ratios):.2f} to {max(ratios):.2f}; Ray's start, apart: {np.median(starts):.1f} s"
    yield at_most("--ray with 2 workers: time / that of the local ingest", float(np.median(ratios)), 1.15, note)
    with connect(url) as client:
        here_stored, ray_stored = documents(client, "here-0"), documents(client, "ray-0")
    equal, difference = compared(here_stored, ray_stored)
    total = len(list(photos.iterdir()))
    note = f"vectors differ by {difference:.1e} at most"
    yield exactly("--ray: documents equal to those of the local ingest", equal, total, note)


def ingested(url: str, index: str, photos: Path, *more: str) -> dict[str, Any]:
    """The report of an ingest of `mini`, whole photos and tiles."""
    done = subprocess.run(command(url, index, [str(photos)], *more), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def documents(client: OpenSearch, index: str) -> Documents:
    client.indices.refresh(index=index)
    found = helpers.scan(client, index=index, query={"query": {"match_all": {}}}, size=200)
    return {hit["_id"]: hit["_source"] for hit in found}


def compared(some: Documents, others: Documents) -> tuple[int, float]:
    """How many documents are equal but for their numbers, and the largest difference of a number of a vector."""
    shared = some.keys() & others.keys()
    equal = sum(without_numbers(some[each]) == without_numbers(others[each]) for each in shared)
    pairs = [
        (here["vec"], there["vec"])
        for each in shared
        for here, there in zip(some[each]["regions"], others[each]["regions"], strict=False)
    ]
    largest = max((float(np.abs(np.subtract(*pair)).max()) for pair in pairs), default=0.0)
    return equal if len(some) == len(others) else 0, largest


def without_numbers(document: dict[str, Any]) -> dict[str, Any]:
    regions = [{**region, "vec": None, "hubness": None} for region in document["regions"]]
    return {**document, "regions": regions, "ingested_at": None}


def killed(url: str, photos: Path, kills: int, drivers: int) -> Line:
    """Ingests of which workers and drivers are killed while documents arrive."""
    chance = random.Random(0)
    with connect(url) as client:
        whole, total = f"whole-{kills}", len(list(photos.iterdir()))
        ingested(url, whole, photos)
        ends = kills_by_run(kills, drivers)
        started = 0
        for workers, driver in ends:
            started += 1
            run_with_kills(client, command(url, f"killed-{kills}", [str(photos)], *BY_TWO), workers, driver, chance)
        ingested(url, f"killed-{kills}", photos, *BY_TWO)
        equal, _ = compared(documents(client, whole), documents(client, f"killed-{kills}"))
    note = f"{started + 1} runs"
    return exactly(f"--ray: documents after {kills} kills of workers, {drivers} of the driver", equal, total, note)


def kills_by_run(kills: int, drivers: int) -> list[tuple[int, bool]]:
    """How many workers are killed in each run, and whether its driver is killed then."""
    each, left = divmod(kills, drivers + 1)
    return [(each, True)] * drivers + [(each + left, False)]


def run_with_kills(
    client: OpenSearch, words: list[str], kills: int, driver: bool, chance: random.Random, most: float = 1800
) -> None:
    """One ingest: each kill comes after a document more than at the last one. Raises RuntimeError if it gets stuck."""
    index = words[words.index("--index") + 1]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    end, before, done = time.monotonic() + most, count(client, index), 0
    while process.poll() is None and time.monotonic() < end:
        time.sleep(chance.uniform(0.2, 1))
        workers, now = ray_workers(), count(client, index)
        if now == before or not workers:
            continue
        if done < kills:
            os.kill(chance.choice(workers), signal.SIGKILL)
            done, before = done + 1, now
        elif driver:
            process.kill()
    if process.wait(60) not in (0, -signal.SIGKILL) or done < kills or driver is (process.returncode == 0):
        raise RuntimeError(f"the ingest ended with {process.returncode} after {done} of {kills} kills")
    while ray_workers():
        # Those of a driver that was killed end by themselves.
        time.sleep(0.2)


def count(client: OpenSearch, index: str) -> int:
    """Documents, those that no refresh has shown yet included."""
    with suppress(Exception):
        total = client.indices.stats(index=index, metric="indexing")["_all"]["primaries"]["indexing"]["index_total"]
        return int(total)
    return 0


def ray_workers() -> list[int]:
    """The processes of Ray's workers that work, also those of another ingest on this machine."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cmdline").read_bytes().startswith(b"ray::BatchWorker"):
                found.append(int(entry.name))
    return found


def memory(url: str, folder: Path, each: int) -> Line:
    """The driver's memory for ten times as many photos: ten links to each folder."""
    tiny = drawn(folder / "tiny", each, 8)
    few, many = links(folder / "few", tiny, TIMES), links(folder / "many", tiny, TIMES * TIMES)
    ratio = driver_peak(url, "many", many) / driver_peak(url, "few", few)
    name = f"--ray: the driver's memory for {each * TIMES**2:,} photos / for {each * TIMES:,}"
    return at_most(name, ratio, 1.2)


def links(folder: Path, to: Path, number: int) -> Path:
    folder.mkdir()
    for each in range(number):
        (folder / str(each)).symlink_to(to)
    return folder


def driver_peak(url: str, index: str, folder: Path) -> float:
    """Bytes."""
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, str(here / "ray_driver.py"), url, index, str(folder)],
        env=os.environ | {"PYTHONPATH": str(here)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)
