"""The CPU time of commands that are over soon, each compared with what it cannot do without."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from figures import Line, at_most
from load import service

from sorce.cluster import connect, find_index
from sorce.engine import running
from sorce.index import Index
from sorce.models import load_encoder, load_model
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install
from training.scenes.bundled import FOLDER

ROUNDS, PHOTOS, INDEX = 9, 8, "start"
SORCE = str(Path(sys.executable).with_name("sorce"))
CLICK = (sys.executable, "-c", "import click")
CLIP = (sys.executable, "-c", "import torch; from transformers import CLIPModel")


def measures() -> Iterator[Line]:
    yield compared("start: sorce --help / import click", (SORCE, "--help"), CLICK, 4)
    # `load` gives the address of its requests.
    with running() as url, service() as address:
        encoder, client = address.removesuffix("/v1/embeddings"), connect(url)
        Index(client, INDEX, lambda: load_model("mini", device="cpu")).ingest(sorted(FOLDER.glob("*.jpg"))[:PHOTOS])
        install(client, find_index(client, INDEX), parse(encoder, "mini", None), load_encoder("mini", "cpu"))
        search = (SORCE, "search", "a small red umbrella", "--index", INDEX, "--url", url)
        yield compared("start: sorce search, client, mini / import CLIPModel", search, CLIP, 1.1)
        there = (*search, "--encoder", encoder)
        yield compared("start: sorce search --encoder / --server", there, (*search, "--server"), 1.1)


def compared(name: str, ours: Sequence[str], other: Sequence[str], bar: float) -> Line:
    """The median of the ratios of CPU seconds, in turns."""
    for each in (ours, other):
        cpu_seconds(each)
    ratios, seconds = [], []
    for number in range(ROUNDS):
        taken = {each: cpu_seconds(each) for each in ((ours, other) if number % 2 else (other, ours))}
        ratios.append(taken[ours] / taken[other])
        seconds.append(taken[ours])
    note = f"{statistics.median(seconds):.2f} s; {ROUNDS} rounds from {min(ratios):.2f} to {max(ratios):.2f}"
    return at_most(name, statistics.median(ratios), bar, note)


def cpu_seconds(command: Sequence[str]) -> float:
    """Those of a process with all its threads. Raises CalledProcessError."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
