"""Runs a network over many batches, in the way that is fastest on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")

# Larger batches are no faster on a CPU, and leave some cores idle.
CPU_BATCH = 32


class Batches:
    """Runs batches one after another on a GPU. On a CPU, each of torch's threads runs its own batches in parallel.

    By default torch splits each operation over its threads; all then wait for the slowest, many times a millisecond.
    Beside busy decoders that took up to ten times as long (2 cores, a network of 4 M parameters).
    """

    def __init__(self, device: torch.device, size: int) -> None:
        self._on_cpu = device.type == "cpu"
        self._size = min(size, CPU_BATCH) if self._on_cpu else size
        self._pool: ThreadPoolExecutor | None = None
        self._making_pool = Lock()

    def run(self, work: Callable[[Sequence[Item]], Tensor], items: Sequence[Item]) -> list[Tensor]:
        """The result of `work` for each batch, in order."""
        threads = torch.get_num_threads()
        if not self._on_cpu or len(items) <= self._size or threads < 2:
            return [work(items[start : start + self._size]) for start in range(0, len(items), self._size)]
        # Each thread gets the same number of batches, all of one size. Otherwise some threads wait for the last.
        count = threads * math.ceil(len(items) / self._size / threads)
        size = math.ceil(len(items) / count)
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        with self._making_pool:
            self._pool = self._pool or _single_threads(threads)
        return list(self._pool.map(work, batches))


def _single_threads(count: int) -> ThreadPoolExecutor:
    """A pool of threads. In each of them torch uses no further threads."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "sorce-encode", torch.set_num_threads, (1,))
    # Torch's thread count holds for the thread that sets it and all that start later. So start all, then restore it.
    started = Barrier(count)
    list(pool.map(lambda _: started.wait(), range(count)))
    torch.set_num_threads(before)
    return pool
