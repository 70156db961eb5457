"""The indices that are served, and their encoders: one for each recipe, loaded once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from sorce.errors import SorceError
from sorce.mappings import Recipe, Vector
from sorce.mappings.found import FoundIndex
from sorce.mappings.query import Json
from sorce.models.model import TextEncoder
from sorce.plugin.service.batching import Batcher
from sorce.plugin.service.requests import Refused

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger("sorce.service")

ENCODE_SECONDS = 60
"""How many seconds a search may wait for its texts' vectors."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many photos and regions an index has."""

    photos: int
    regions: int

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Counts:
        """Reads the answer to `count_body`."""
        return cls(int(answer["hits"]["total"]["value"]), int(answer["aggregations"]["regions"]["doc_count"]))


def count_body() -> Json:
    return {"size": 0, "track_total_hits": True, "aggs": {"regions": {"nested": {"path": "regions"}}}}


class Indices:
    """What is served, by the names that the operator gave."""

    def __init__(self, found: Sequence[FoundIndex], encoders: Encoders) -> None:
        self._found = {each.asked: each for each in found}
        self.encoders = encoders

    @property
    def names(self) -> list[str]:
        return list(self._found)

    def named(self, name: str | None) -> FoundIndex:
        """The index as it was at the start; None is the first one. Raises Refused."""
        name = self.names[0] if name is None else name
        if name not in self._found:
            raise Refused(404, f"index '{name[:100]}' is not served here; there is {', '.join(self.names)}.")
        return self._found[name]


class QueuedEncoder(TextEncoder):
    """An encoder for use from any thread: texts go through a batcher, and pictures wait for their turn."""

    def __init__(self, encoder: TextEncoder, batcher: Batcher, loop: asyncio.AbstractEventLoop) -> None:
        self._encoder, self._batcher, self._loop = encoder, batcher, loop
        self._turn = Lock()

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        vectors = asyncio.run_coroutine_threadsafe(self._batcher.vectors(texts), self._loop)
        return np.stack(vectors.result(ENCODE_SECONDS))

    def embed_images(self, images: Sequence[Image]) -> Vector:
        with self._turn:
            return self._encoder.embed_images(images)


class Encoders:
    """An encoder for each recipe. `first` is the one that the service has loaded, with its batcher."""

    def __init__(self, first: tuple[Recipe, TextEncoder, Batcher], load: Callable[[Recipe], TextEncoder]) -> None:
        recipe, encoder, batcher = first
        self._loaded: dict[str, tuple[TextEncoder, Batcher]] = {recipe.hash: (encoder, batcher)}
        self._queued: dict[str, QueuedEncoder] = {}
        self._load = load
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own: list[tuple[Batcher, Future[None]]] = []

    def start(self) -> None:
        """Called in the event loop, before `of`."""
        self._loop = asyncio.get_running_loop()

    def of(self, recipe: Recipe) -> TextEncoder:
        """Loads it if this is the first time. Called in a thread other than the event loop's."""
        assert self._loop is not None
        with self._lock:
            if recipe.hash not in self._queued:
                if recipe.hash not in self._loaded:
                    self._loaded[recipe.hash] = self._opened(recipe)
                self._queued[recipe.hash] = QueuedEncoder(*self._loaded[recipe.hash], self._loop)
            return self._queued[recipe.hash]

    async def close(self) -> None:
        """Waits for the texts that are in work. The first encoder's batcher is the service's own."""
        for batcher, running in self._own:
            batcher.close()
            await asyncio.wrap_future(running)

    def _opened(self, recipe: Recipe) -> tuple[TextEncoder, Batcher]:
        assert self._loop is not None
        try:
            encoder = self._load(recipe)
        except SorceError as error:
            # The sentence may name a folder of this machine.
            log.error("the model of %s cannot be loaded: %s", recipe, error)
            raise Refused(503, "the model of this index cannot be loaded; the service's log says why.") from error
        batcher = Batcher(encoder)
        self._own.append((batcher, asyncio.run_coroutine_threadsafe(batcher.run(), self._loop)))
        return encoder, batcher
