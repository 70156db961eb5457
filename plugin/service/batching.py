"""Texts of many requests, encoded together by one thread."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sorce.mappings import Vector
from sorce.models.model import TextEncoder

MOST_WAITING = 1024
MOST_CACHED = 10_000
BATCH = 64


class Full(Exception):
    """More texts wait than may; ask again later."""


class Batcher:
    """Vectors of texts, by one encoder thread; used from one event loop.

    There is no delay to fill a batch: texts gather while the encoder is busy with those before. A text that waits
    already is not encoded twice.
    """

    def __init__(self, encoder: TextEncoder, most_waiting: int = MOST_WAITING, most_cached: int = MOST_CACHED) -> None:
        self._encoder = encoder
        self._most_waiting = most_waiting
        self._most_cached = most_cached
        self._cached: OrderedDict[str, Vector] = OrderedDict()
        self._waiting: dict[str, asyncio.Future[Vector]] = {}
        self._encoding: dict[str, asyncio.Future[Vector]] = {}
        self._arrived = asyncio.Event()
        self._closing = False

    @property
    def waiting(self) -> int:
        """How many texts wait for the encoder."""
        return len(self._waiting)

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One unit vector per text, in order. Raises Full, and whatever the encoder raises."""
        found = {text: vector for text in set(texts) if (vector := self._known(text)) is not None}
        missing = list(dict.fromkeys(text for text in texts if text not in found))
        new = [text for text in missing if text not in self._waiting and text not in self._encoding]
        if len(self._waiting) + len(new) > self._most_waiting:
            raise Full
        loop = asyncio.get_running_loop()
        self._waiting |= {text: loop.create_future() for text in new}
        self._arrived.set()
        # Looked up before the first await, since the encoder's turn moves them from one to the other.
        futures = {text: self._waiting.get(text) or self._encoding[text] for text in missing}
        # Shielded: a caller that goes away must not take the vector from another that waits for the same text.
        done = await asyncio.gather(*(asyncio.shield(future) for future in futures.values()))
        found |= dict(zip(futures, done, strict=True))
        return [found[text] for text in texts]

    def _known(self, text: str) -> Vector | None:
        vector = self._cached.get(text)
        if vector is not None:
            self._cached.move_to_end(text)
        return vector

    async def run(self) -> None:
        """Encodes until closed, and then what still waits."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder") as thread:
            while not (self._closing and not self._waiting):
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await self._encode(thread)

    def close(self) -> None:
        """Lets `run` end."""
        self._closing = True
        self._arrived.set()

    async def _encode(self, thread: ThreadPoolExecutor) -> None:
        texts = list(self._waiting)[:BATCH]
        batch = self._encoding = {text: self._waiting.pop(text) for text in texts}
        work = asyncio.get_running_loop().run_in_executor(thread, self._encoder.embed_texts, texts)
        await asyncio.wait([work])
        self._encoding = {}
        error = work.exception()
        if error is not None:
            # Those who asked get it; the thread goes on with the next texts.
            for future in batch.values():
                future.set_exception(error)
            return
        for (text, future), vector in zip(batch.items(), work.result(), strict=True):
            self._remember(text, vector)
            future.set_result(vector)

    def _remember(self, text: str, vector: Vector) -> None:
        # Copied: a row of the batch would keep the whole batch alive.
        self._cached[text] = vector.copy()
        while len(self._cached) > self._most_cached:
            self._cached.popitem(last=False)
