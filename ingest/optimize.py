"""Merges an index that is complete to one segment per shard: its searches become faster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread

from opensearchpy import OpenSearch

DAY = 24 * 3600
"""The most seconds that the answer may take: the cluster merges a large index for hours."""
LOOK_UP = 0.2
"""How often, in seconds, the waiting thread checks whether the run has ended."""


@dataclass(frozen=True, slots=True)
class Merge:
    """How many seconds a merge took, and whether it is done: a run that is asked to stop does not wait for its end."""

    seconds: float
    is_done: bool


def optimize(client: OpenSearch, indices: Sequence[str], stop: Event | None = None) -> Merge:
    """Merges each shard of these indices to one segment, and waits for it; after `stop`, the cluster goes on alone.

    Meanwhile the disk holds an index up to twice. Raises opensearchpy's errors.
    """
    stop, failures, started = stop or Event(), list[Exception](), time.monotonic()

    def ask() -> None:
        try:
            client.indices.forcemerge(index=list(indices), params={"max_num_segments": 1, "request_timeout": DAY})
            # Until a refresh, searches read the old segments.
            client.indices.refresh(index=list(indices))
        except Exception as error:  # Raised below, in the thread that waits.
            failures.append(error)

    # The request cannot be taken back, so it has a thread that the end of the process does not wait for.
    asking = Thread(target=ask, name="merge", daemon=True)
    asking.start()
    while asking.is_alive() and not stop.is_set():
        asking.join(LOOK_UP)
    if failures:
        raise failures[0]
    return Merge(time.monotonic() - started, not asking.is_alive())
