"""Opens the next picture while the one before is looked at: a decoder is another process, and may have its own core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sorce.errors import BadPhoto
from sorce.mappings import Picture

Item = TypeVar("Item")
Opened = Picture | BadPhoto
"""A picture, or why it cannot be opened."""


@contextmanager
def opened_ahead(items: Iterable[Item], opens: Callable[[Item], Picture]) -> Iterator[Iterator[Opened]]:
    """One answer for each item, in order. Two pictures are in memory at most: the one in use, and the next.

    `opens` is called in another thread, for one item at a time. No call is left when the block has ended. A block that
    ends early waits for the call in progress only.
    """
    pool = ThreadPoolExecutor(1, "open")
    try:
        yield _answers(pool, items, opens)
    finally:
        pool.shutdown(cancel_futures=True)


def _answers(pool: ThreadPoolExecutor, items: Iterable[Item], opens: Callable[[Item], Picture]) -> Iterator[Opened]:
    following: Future[Opened] | None = None
    for item in items:
        ready, following = following, pool.submit(_tried, opens, item)
        if ready is not None:
            yield ready.result()
    if following is not None:
        yield following.result()


def _tried(opens: Callable[[Item], Picture], item: Item) -> Opened:
    try:
        return opens(item)
    except BadPhoto as error:
        return error
