"""Runs a network over many batches, as the device likes it best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")

# Larger batches are no faster on a CPU, and leave some of its cores without one.
CPU_BATCH = 32


class Batches:
    """On a GPU one batch after another; on a CPU as many side by side as torch has threads, each batch on one thread.

    Torch would rather split each operation over its threads, but then all wait for the slowest, many times a
    millisecond: beside busy decoders that took up to ten times as long (2 cores, a network of 4 M parameters).
    """

    def __init__(self, device: torch.device, size: int) -> None:
        self._on_cpu = device.type == "cpu"
        self._size = min(size, CPU_BATCH) if self._on_cpu else size
        self._pool: ThreadPoolExecutor | None = None
        self._making_pool = Lock()

    def run(self, work: Callable[[Sequence[Item]], Tensor], items: Sequence[Item]) -> list[Tensor]:
        """`work` of each batch, in order."""
        threads = torch.get_num_threads()
        if not self._on_cpu or len(items) <= self._size or threads < 2:
            return [work(items[start : start + self._size]) for start in range(0, len(items), self._size)]
        # As many batches for each thread, and all of one size: else some threads wait for the last.
        count = threads * math.ceil(len(items) / self._size / threads)
        size = math.ceil(len(items) / count)
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        with self._making_pool:
            self._pool = self._pool or _single_threads(threads)
        return list(self._pool.map(work, batches))


def _single_threads(count: int) -> ThreadPoolExecutor:
    """Threads in each of which torch uses no others."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "sorce-encode", torch.set_num_threads, (1,))
    # Torch's number of threads holds for the thread that sets it and for all that start later: start them, set it back.
    started = Barrier(count)
    list(pool.map(lambda _: started.wait(), range(count)))
    torch.set_num_threads(before)
    return pool
