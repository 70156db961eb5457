"""All that the page's routes share, made once when the service starts."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import orjson
from fastapi import Request, Response
from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from sorce.errors import SorceError
from sorce.mappings import Localiser, Recipe
from sorce.mappings.found import FoundIndex
from sorce.mappings.query import Json
from sorce.mappings.request import SearchRequest
from sorce.models.model import TextEncoder
from sorce.pictures.budget import PixelBudget
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from sorce.plugin.service.batching import Batcher
from sorce.plugin.service.page.cache import DiskCache
from sorce.plugin.service.page.folders import Folders
from sorce.plugin.service.page.indices import Encoders, Indices
from sorce.plugin.service.page.memory import give_back_freed
from sorce.plugin.service.page.photos import PhotoPlaces
from sorce.plugin.service.page.pictures import MAX_DECODED, PhotoPictures
from sorce.plugin.service.page.searching import PageSearch
from sorce.plugin.service.page.settings import PageSettings
from sorce.plugin.service.page.uploads import Uploads
from sorce.plugin.service.page.users import ClusterUser, ClusterUsers, Connect, asking
from sorce.plugin.service.page.wholes import WholeVectors
from sorce.plugin.service.page.workers import Workers, unless_gone

Result = TypeVar("Result")

log = logging.getLogger("sorce.service")

SEARCHING, MAX_SEARCHES = 16, 256
"""Threads that ask the cluster, and how many requests may wait for one."""
LOOKING, MAX_LOOKING = 2, 32
"""The same for searches whose hits are looked at again. One takes seconds to minutes; others must not wait for it."""
MAX_PICTURES = 512
"""How many pictures may wait to be made."""
WARMING = "a photo"
LIMITS = DecodeLimits(seconds=30, clock_factor=3)
"""People wait for these pictures, unlike in an ingest."""


@dataclass(frozen=True)
class PageSetup:
    """What the command opened for the page.

    `found` are the indices. `load` gives the encoder of a recipe; that of the first is loaded already. `connect` asks
    the cluster as another user. `localisers` are by the names of the indices, if the service looks at
    photos again; they are for several threads.
    """

    settings: PageSettings
    client: OpenSearch
    found: Sequence[FoundIndex]
    load: Callable[[Recipe], TextEncoder]
    connect: Connect
    localisers: Mapping[str, Localiser] = field(default_factory=dict)


class Page:
    """`key` is the service's, if it has one. `encoder` is that of the first index, and `batcher` encodes with it."""

    def __init__(self, setup: PageSetup, key: str | None, encoder: TextEncoder, batcher: Batcher) -> None:
        give_back_freed()
        self.setup, self.key, self.settings = setup, key, setup.settings
        self.encoders = Encoders((setup.found[0].recipe, encoder, batcher), setup.load)
        self.indices = Indices(setup.found, self.encoders)
        own = ClusterUser(setup.client, self.indices, is_own=True)
        self.users = ClusterUsers(own, self.indices, setup.connect if self.settings.pass_credentials else None)
        self.folders, self.places = Folders(self.settings.roots, self.settings.show_paths), PhotoPlaces()
        self._decoders = DecoderPool(LIMITS)
        self._asking = Workers("searches", SEARCHING, MAX_SEARCHES)
        self._looking = Workers("searches that look at photos again", LOOKING, MAX_LOOKING)
        self.drawing = Workers("pictures", max(2, min(4, os.cpu_count() or 2)), MAX_PICTURES)
        budget = PixelBudget(MAX_DECODED)
        cache = DiskCache(self.settings.cache, self.settings.cache_megabytes << 20)
        self.pictures = PhotoPictures(self.settings.roots, cache, self._decoders, budget)
        self.uploads = Uploads(self._decoders, budget)
        self.search = PageSearch(
            self.settings, self.folders, self.places, self.pictures, self.uploads, WholeVectors(), setup.localisers
        )

    def user(self, request: Request) -> ClusterUser:
        """Who asks the cluster for this request. Raises HTTPException."""
        return self.users.of(request.headers.get("Authorization", ""))

    async def searching(self, work: Callable[[], Result]) -> Result:
        """Runs what asks the cluster in a thread. Raises Refused, HTTPException."""
        return await self._asking.run(partial(self._refusing, work))

    async def answering(self, request: Request, work: Callable[[], Result], *, looks_again: bool) -> Result:
        """As `searching`. What also looks again at photos has threads of its own, and is dropped if the client leaves
        before it has one.
        """
        if not looks_again:
            return await self.searching(work)
        return await unless_gone(request, self._looking.run(partial(self._refusing, work)))

    def _refusing(self, work: Callable[[], Result]) -> Result:
        with asking(is_own=not self.settings.pass_credentials):
            return work()

    def warm_up(self) -> None:
        """A search of each index, so that the first of a person is quick. Not in the event loop's thread."""
        for found in self.setup.found:
            self.encoders.of(found.recipe).embed_texts([WARMING])
            if self.settings.pass_credentials:
                # The service's own user may not search.
                continue
            try:
                self.users.own.searcher(found.asked).search(SearchRequest(WARMING, size=1))
                self.users.own.counts(found.asked)
            except (SorceError, OpenSearchException) as error:
                log.warning("the first search of '%s' failed: %s", found.asked, error)

    async def close(self) -> None:
        """Call this when no request is in progress."""
        # What was left by its client may still run. It may wait for an encoder, whose turns need this event loop.
        for workers in (self._asking, self._looking, self.drawing):
            await asyncio.to_thread(workers.close)
        await self.encoders.close()
        self._decoders.close()


def as_json(body: Json) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
