"""Threads for work that blocks, a limit on how much of it may wait, and an end to what nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import Request

from sorce.plugin.service.requests import Refused

Result = TypeVar("Result")


class Unwanted(Exception):
    """Nobody waited for the work when a thread was free for it."""


class Workers:
    """A number of threads. `waiting` counts what is in work, too."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._name, self._free = name, waiting
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[[], Result], is_wanted: Callable[[], bool] = lambda: True) -> Result:
        """`is_wanted` is asked when a thread is free. Raises Unwanted, and what the work raises.

        Raises Refused if too much waits already.
        """
        if self._free <= 0:
            raise Refused(503, f"too many {self._name} wait already; ask again in a second.")

        def begin() -> Result:
            if not is_wanted():
                raise Unwanted
            return work()

        self._free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, begin)
        finally:
            self._free += 1

    def close(self) -> None:
        """Waits for the work that runs; what has not begun is dropped."""
        self._threads.shutdown(cancel_futures=True)


class Once:
    """Work by key: who asks for what is in work already gets the same result. Used from one event loop."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._waiting: Counter[str] = Counter()

    def is_wanted(self, key: str) -> bool:
        """Whether somebody waits for it. For use from any thread."""
        return self._waiting[key] > 0

    async def get(self, key: str, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Work that raises Unwanted is done again for those who came after that. Raises what else the work raises."""
        self._waiting[key] += 1
        try:
            while True:
                with suppress(Unwanted):
                    # Shielded: a caller that leaves must not end the work for the others.
                    result: Result = await asyncio.shield(self._task(key, work))
                    return result
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    def _task(self, key: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        task = self._running.get(key)
        # One that is done stays here until the event loop's next turn, and must not be waited for again and again.
        if task is None or task.done():
            task = self._running[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._done(key, done))
        return task

    def _done(self, key: str, task: asyncio.Task[Any]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            # Retrieved, because all callers may be gone and asyncio would log an unread exception.
            task.exception()


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of the work, which is cancelled if the client leaves before. Raises Refused, and what it raises."""
    making, gone = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait([making, gone], return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            raise Refused(400, "the client went away.")
        return making.result()
    finally:
        making.cancel()
        gone.cancel()
        # Until it has noticed: work that waits for a thread must not begin after the answer.
        await asyncio.wait([making, gone])


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
