"""The searching half of an index for programs with an event loop."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from sorce.index import Index, Sought, open_index
from sorce.listing import IndexInfo
from sorce.locate import ZOOM
from sorce.mappings import Hits, Localiser
from sorce.mappings.filters import Filter
from sorce.mappings.request import SearchRequest
from sorce.mappings.stored import StoredPhoto

Given = ParamSpec("Given")


class AsyncIndex:
    """Searches an index without blocking the event loop. Make one with `open_index_async`; it closes with `async with`.

    Each call runs in a thread of the loop's own pool, as encoding a text does not wait for a network. All arguments,
    answers and errors are those of `Index`. `index` is that index, for all that is not here.
    """

    def __init__(self, index: Index) -> None:
        self.index = index

    async def __aenter__(self) -> AsyncIndex:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Like `Index.close`."""
        await to_thread(self.index.close)

    async def search(
        self,
        what: Sought | Sequence[Sought] | SearchRequest,
        *,
        size: int | None = None,
        start: int | None = None,
        locate: int = 0,
        localiser: str | Localiser = ZOOM,
        min_located_score: float = 0.0,
        root: str | Path | None = None,
    ) -> Hits:
        """Like `Index.search`."""
        return await to_thread(
            self.index.search,
            what,
            size=size,
            start=start,
            locate=locate,
            localiser=localiser,
            min_located_score=min_located_score,
            root=root,
        )

    async def get(self, photo_id: str, *, vectors: bool = False) -> StoredPhoto | None:
        """Like `Index.get`."""
        return await to_thread(self.index.get, photo_id, vectors=vectors)

    async def count(self, filter: Filter | None = None) -> int:  # noqa: A002
        """Like `Index.count`."""
        return await to_thread(self.index.count, filter)

    async def info(self) -> IndexInfo:
        """Like `Index.info`."""
        return await to_thread(self.index.info)


def _asynchronous(opened: Callable[Given, Index]) -> Callable[Given, Awaitable[AsyncIndex]]:
    @wraps(opened)
    async def twin(*args: Given.args, **given: Given.kwargs) -> AsyncIndex:
        return AsyncIndex(await to_thread(opened, *args, **given))

    # `await open_index_async(...)` takes exactly what `open_index` takes.
    twin.__name__ = twin.__qualname__ = "open_index_async"
    twin.__doc__ = "Like `open_index`, for a program with an event loop: `await` it. The same arguments and errors."
    return twin


open_index_async = _asynchronous(open_index)
"""Like `open_index`, for a program with an event loop: `await` it. The same arguments and errors."""
