"""The client's search: takes a request in words, encodes it here and returns hits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Protocol

from opensearchpy import OpenSearch

from sorce.cluster import version
from sorce.mappings import Hits, Recipe, Vector
from sorce.mappings.answer import read_hits
from sorce.mappings.found import FoundIndex
from sorce.mappings.query import Json, Query, among, default_k, proposals, search_body, to_cosine
from sorce.mappings.ranking import SIMILARITY, ranking
from sorce.mappings.regions import read_vectors
from sorce.mappings.request import SearchRequest
from sorce.mappings.selection import regions_of
from sorce.models.model import TextEncoder
from sorce.plugin.query.examples import vectors_of
from sorce.plugin.query.folding import folded
from sorce.plugin.query.following import Following
from sorce.plugin.query.proof import Candidate, proven, unproven

log = logging.getLogger("sorce.search")

SCANNED = 500_000
"""Up to this many regions, a ranking by product compares all of them by default, without the graph.

That misses nothing. At 100,000 regions it took less than half as long as the graph did (`benchmarks/product.py`). Its
time grows with the number of regions.
"""


class Searcher(Protocol):
    """One index, searched with words."""

    def search(self, request: SearchRequest) -> Hits:
        """The photos found, best first. Raises QueryError, ClusterError."""
        ...


class ClientSearch(Following):
    """Encodes the texts here, with the model that made the index."""

    def __init__(self, client: OpenSearch, index: str | FoundIndex, encoder: Callable[[Recipe], TextEncoder]) -> None:
        """`index` is a name, or the result of its look-up. `encoder` is called once for each recipe, by the first
        search that has a text or a picture.

        Raises IndexMissing.
        """
        super().__init__(client, index)
        self._load = encoder
        self._loaded: tuple[Recipe, TextEncoder] | None = None
        # Searches of several threads must not load the same model twice.
        self._loading = Lock()
        self._counted: tuple[FoundIndex, int] | None = None
        self._version = version(client)

    def compare(self, request: SearchRequest, photo_ids: Sequence[str]) -> Hits:
        """The hits among these photos only: each is compared, whatever the graph proposes.

        Raises QueryError, ClusterError.
        """
        asked = replace(request, exact=True, start=0, size=max(1, len(photo_ids)), fold=None)

        def compared(found: FoundIndex) -> Hits:
            query = self._query(asked, found)
            body = among(search_body(query, self._version), photo_ids)
            return read_hits(self._ask(found, body, request.allow_partial), query)

        return self._followed(compared)

    def body(self, request: SearchRequest) -> Json:
        """One plain request for what this search finds, with all vectors. Raises QueryError.

        By product it is a scan: the search itself may send several requests to the graph, which find the same.
        """
        query = self._query(request, self.found)
        if query.ranking.rank == SIMILARITY:
            return search_body(query, self._version)
        return search_body(scan(query), self._version)

    def _hits(self, request: SearchRequest, found: FoundIndex) -> Hits:
        query = self._chosen(self._query(request, found), found)
        wholes: dict[str, Vector | None] = {}

        def ask_for(body: Json) -> Hits:
            answer = self._ask(found, body, request.allow_partial)
            if request.fold is not None:
                wholes.update(read_vectors(answer))
            return read_hits(answer, query)

        if query.ranking.rank == SIMILARITY or query.request.exact:
            hits = ask_for(search_body(query, self._version))
        elif found.is_compressed:
            # The graph's own scores are rough there, so they prove nothing.
            hits = unproven(ask_for(search_body(query, self._version)))
        else:
            body = search_body(scan(query), self._version)
            propose = partial(self._propose, found)
            hits = proven(query, request.max_k, propose, lambda photo_ids: ask_for(among(body, photo_ids)))
        return hits if request.fold is None else folded(hits, wholes, request.fold)

    def _chosen(self, query: Query, found: FoundIndex) -> Query:
        """The query, as a scan of all regions where that is the better way to rank by product."""
        asked = query.request
        is_free = query.ranking.rank != SIMILARITY and asked.k is None and asked.ef_search is None
        if asked.exact or not is_free or self._regions(found) > SCANNED:
            return query
        return scan(query)

    def _query(self, request: SearchRequest, found: FoundIndex) -> Query:
        # Checked before the texts are encoded, so that an invalid request costs nothing.
        by = ranking(found.recipe, request.rank, request.debias)
        regions = regions_of(found)
        request.filter.check(regions, found.asked)
        clauses = request.filter.clauses(regions)
        encoder = partial(self._encoder, found.recipe)
        vectors = list(encoder().embed_texts(request.texts)) if request.texts else []
        split = len(request.phrases)
        phrases, nots = vectors[:split], vectors[split:]
        ask = partial(self._ask, found, allow_partial=request.allow_partial)
        phrases += vectors_of(request.like, found.recipe, encoder, ask)
        nots += vectors_of(request.not_like, found.recipe, encoder, ask)
        return Query(bound_to(request, found), phrases, nots, clauses, by, found.recipe.hash)

    def encoder(self) -> TextEncoder:
        """What encodes the index's texts."""
        return self._encoder(self.found.recipe)

    def _encoder(self, recipe: Recipe) -> TextEncoder:
        with self._loading:
            if self._loaded is None or self._loaded[0] != recipe:
                log.info("loading the encoder of %s", recipe)
                self._loaded = (recipe, self._load(recipe))
            return self._loaded[1]

    def _regions(self, found: FoundIndex) -> int:
        """How many regions the index has, or had when first counted."""
        counted = self._counted
        if counted is None or counted[0] != found:
            body = {"size": 0, "track_total_hits": False, "aggs": {"regions": {"nested": {"path": "regions"}}}}
            # It only chooses the faster way, so a partial count is enough.
            answer = self._ask(found, body, allow_partial=True)
            counted = self._counted = (found, int(answer["aggregations"]["regions"]["doc_count"]))
        return counted[1]

    def _propose(self, found: FoundIndex, query: Query, phrase: int) -> list[Candidate]:
        """The candidates for one phrase, nearest first."""
        body = proposals(query.phrases[phrase], query, self._version)
        hits = self._ask(found, body, query.request.allow_partial)["hits"]["hits"]
        return [Candidate(str(hit["_id"]), to_cosine(hit["_score"])) for hit in hits]


def scan(query: Query) -> Query:
    """The query without the graph: every photo is compared."""
    return replace(query, request=replace(query.request, exact=True))


def bound_to(request: SearchRequest, found: FoundIndex) -> SearchRequest:
    """Adapts a request to the index.

    Through an alias with a filter, every photo that passes the filter is compared. The graph would propose photos of
    the whole index, and the filter could then remove any number of them. A compressed graph orders by rough scores, so
    it proposes more photos than are asked for.
    """
    if found.has_filter:
        return replace(request, exact=True)
    by_one_cosine = request.is_plain and len(request.labels) + len(request.nots) + len(request.not_like) == 1
    if found.is_compressed and by_one_cosine and request.k is None:
        return replace(request, k=default_k(request.last, 1, by_cosine=False))
    return request
