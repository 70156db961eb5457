"""Search under a name that may later stand for another index."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import find_index
from sorce.errors import ClusterError, QueryError
from sorce.mappings import Hits
from sorce.mappings.found import FoundIndex
from sorce.mappings.query import Json
from sorce.mappings.request import SearchRequest
from sorce.plugin.query.asking import ask
from sorce.plugin.query.nothing import explained

log = logging.getLogger("sorce.search")

TRIES = 5
"""How often a search is repeated because its name now stands for another index."""

_REFUSALS = (QueryError, exceptions.NotFoundError, exceptions.RequestError)
"""Errors that may occur only because the name now stands for another index."""


class Moved(Exception):
    """A hit is from another index than the one that was looked up."""


class Following(ABC):
    """Looks the index up once, and sends every request to the given name.

    So the filter and the routing of an alias apply. If a hit is from another index, or there is no hit, the name is
    looked up again. The search is repeated if it now stands for another index. The same happens if a document is left
    out: its index may have been created again under the same name, with another recipe.
    """

    def __init__(self, client: OpenSearch, index: str | FoundIndex) -> None:
        """`index` is a name, or the result of its look-up. Raises IndexMissing."""
        self.client = client
        self.found = index if isinstance(index, FoundIndex) else find_index(client, index)

    def search(self, request: SearchRequest) -> Hits:
        """The photos found, best first. Raises QueryError, ClusterError."""
        started = time.perf_counter()
        hits = self._followed(partial(self._hits, request))
        if not hits or hits.left_out:
            hits = explained(self.client, self.found, request, hits)
        milliseconds = 1000 * (time.perf_counter() - started)
        log.info("searched '%s' for %s: %d photos, %.1f ms", self.found.asked, request.labels, len(hits), milliseconds)
        return hits

    def _followed(self, find: Callable[[FoundIndex], Hits]) -> Hits:
        """What `find` finds in the index that the name stands for. `find` may raise Moved.

        Another thread may look the name up meanwhile, so one attempt keeps to one look-up.
        """
        for _ in range(TRIES):
            asked = self.found
            hits, refusal = _tried(find, asked)
            if hits and not hits.left_out:
                return hits
            found = find_index(self.client, asked.asked)
            if found != asked:
                log.info("'%s' stands for another index now: %s", found.asked, ", ".join(found.names))
                self.found = found
            elif refusal is not None:
                raise refusal
            elif hits is not None:
                return hits
        raise ClusterError(f"'{self.found.asked}' stands for another index again and again; search again later.")

    @abstractmethod
    def _hits(self, request: SearchRequest, found: FoundIndex) -> Hits:
        """The hits of the index that was looked up, with near-duplicates folded. Raises Moved."""

    def _ask(self, found: FoundIndex, body: Json, allow_partial: bool) -> Any:
        """The answer to a search of the index. Raises Moved, ClusterError."""
        answer = ask(self.client, found.asked, body, allow_partial)
        refuse_moved(answer, found)
        return answer


def _tried(find: Callable[[FoundIndex], Hits], found: FoundIndex) -> tuple[Hits | None, Exception | None]:
    """The hits, or the error, or neither if another index answered."""
    try:
        return find(found), None
    except _REFUSALS as error:
        return None, error
    except Moved:
        return None, None


def refuse_moved(answer: Mapping[str, Any], found: FoundIndex) -> None:
    """Raises Moved if a hit is from another index."""
    if any(hit["_index"] not in found.names for hit in answer["hits"]["hits"]):
        raise Moved
