"""Encodes texts of many requests together, in one thread."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from sorce.mappings import Vector
from sorce.models.model import TextEncoder

MAX_WAITING = 1024
MAX_CACHED = 10_000
BATCH = 64

RESTART_SECONDS = 0.1
"""Seconds between a failure of the worker and its restart, so that a worker that cannot start does not fill the log."""
PROBE = "a photo"
PROBE_SECONDS = 10
FRESH_SECONDS = 10
"""A model that answered within these seconds is not tested again."""

log = logging.getLogger("sorce.service")


class Full(Exception):
    """Too many texts are waiting; ask again later."""


class WorkerFailed(Exception):
    """The worker failed while the texts waited, or has ended."""


class Batcher:
    """Vectors of texts, from one encoder thread; used from one event loop.

    There is no delay to fill a batch: texts collect while the encoder is busy with the batch before. A text that is
    already waiting is not encoded twice. A request with many texts queues one batch at a time. So a single text of
    another request waits for at most one batch of each.
    """

    def __init__(self, encoder: TextEncoder, max_waiting: int = MAX_WAITING, max_cached: int = MAX_CACHED) -> None:
        self._encoder = encoder
        self._max_waiting = max_waiting
        self._max_cached = max_cached
        self._cached: OrderedDict[str, Vector] = OrderedDict()
        self._waiting: dict[str, asyncio.Future[Vector]] = {}
        self._encoding: dict[str, asyncio.Future[Vector]] = {}
        self._arrived = asyncio.Event()
        self._closing = False
        self._ended = False
        self._answered: float | None = None
        self.on_batch: Callable[[int], None] = lambda _: None
        """Called with the number of texts that the encoder gets at once."""

    @property
    def waiting(self) -> int:
        """How many texts wait for the encoder."""
        return len(self._waiting)

    @property
    def is_running(self) -> bool:
        """False once `run` has ended: nothing will be encoded any more."""
        return not self._ended

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One unit vector per text, in order. Raises Full, WorkerFailed, and whatever the encoder raises."""
        different = list(dict.fromkeys(texts))
        found: dict[str, Vector] = {}
        for start in range(0, len(different), BATCH):
            # Once started, a request is not refused: its vectors so far would be lost.
            found |= await self._encoded(different[start : start + BATCH], admitted=start > 0)
        return [found[text] for text in texts]

    async def probe(self) -> None:
        """Makes the model encode a text now, unless it just did. Raises TimeoutError, and what `vectors` raises."""
        now = asyncio.get_running_loop().time()
        if self.is_running and self._answered is not None and now - self._answered < FRESH_SECONDS:
            return
        self._cached.pop(PROBE, None)
        await asyncio.wait_for(self.vectors([PROBE]), PROBE_SECONDS)

    async def _encoded(self, texts: Sequence[str], admitted: bool) -> dict[str, Vector]:
        found = {text: vector for text in texts if (vector := self._known(text)) is not None}
        missing = [text for text in texts if text not in found]
        new = [text for text in missing if text not in self._waiting and text not in self._encoding]
        if new and self._ended:
            raise WorkerFailed("the encoder's worker has ended")
        if not admitted and len(self._waiting) + len(new) > self._max_waiting:
            raise Full
        loop = asyncio.get_running_loop()
        self._waiting |= {text: loop.create_future() for text in new}
        self._arrived.set()
        # Looked up before the first await, because the encoder moves texts from one to the other.
        futures = {text: self._waiting.get(text) or self._encoding[text] for text in missing}
        # Shielded: a cancelled caller must not cancel the vector for another that waits for the same text.
        done = await asyncio.gather(*(asyncio.shield(future) for future in futures.values()))
        return found | dict(zip(futures, done, strict=True))

    def _known(self, text: str) -> Vector | None:
        vector = self._cached.get(text)
        if vector is not None:
            self._cached.move_to_end(text)
        return vector

    async def run(self) -> None:
        """Encodes until closed, and then the texts that still wait. Restarts a worker that fails."""
        try:
            while True:
                try:
                    return await self._work()
                except Exception:
                    log.exception("the encoder's worker failed, and is started again")
                    self._fail_all()
                    await asyncio.sleep(RESTART_SECONDS)
        finally:
            # However it ended: nobody may wait for vectors that will not come.
            self._ended = True
            self._fail_all()

    def close(self) -> None:
        """Lets `run` end."""
        self._closing = True
        self._arrived.set()

    async def _work(self) -> None:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder") as thread:
            while not (self._closing and not self._waiting):
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await self._encode(thread)

    async def _encode(self, thread: ThreadPoolExecutor) -> None:
        texts = list(self._waiting)[:BATCH]
        self.on_batch(len(texts))
        batch = self._encoding = {text: self._waiting.pop(text) for text in texts}
        work = asyncio.get_running_loop().run_in_executor(thread, self._encoder.embed_texts, texts)
        await asyncio.wait([work])
        error = work.exception()
        if error is not None:
            # Logged here, once for all callers. They get the error, and the thread continues with the next texts.
            log.error("the encoder failed (texts in the batch: %d)", len(texts), exc_info=error)
            for future in batch.values():
                future.set_exception(_for_callers(error))
            self._encoding = {}
            return
        for (text, future), vector in zip(batch.items(), work.result(), strict=True):
            self._remember(text, vector)
            future.set_result(vector)
        self._encoding = {}
        self._answered = asyncio.get_running_loop().time()

    def _fail_all(self) -> None:
        for future in (*self._encoding.values(), *self._waiting.values()):
            if not future.done():
                future.set_exception(WorkerFailed("the encoder's worker failed"))
                # Retrieved, because the caller may be gone and asyncio would log an unread exception.
                future.exception()
        self._encoding, self._waiting = {}, {}

    def _remember(self, text: str, vector: Vector) -> None:
        # Copied: a row of the batch would keep the whole batch in memory.
        self._cached[text] = vector.copy()
        while len(self._cached) > self._max_cached:
            self._cached.popitem(last=False)


def _for_callers(error: BaseException) -> Exception:
    """The error in a form that a future can hold: a library that calls sys.exit must not end the service."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"the encoder raised {error!r}")
