"""The search: a request in words, answered with hits, whoever encodes the words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason, recipe_of, resolved, version
from sorce.errors import PluginError, QueryError
from sorce.mappings import Hit, Recipe
from sorce.mappings.answer import boxes_to_fetch, hits
from sorce.mappings.filters import Filter, refuse_half
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.names import Names
from sorce.mappings.query import (
    COSINE,
    EF_SEARCH,
    EF_SEARCH_TO_PROVE,
    Json,
    Query,
    last_candidate,
    search_body,
    unbent,
)
from sorce.mappings.ranking import PLAIN, PRODUCT, SIMILARITY, Ranking, ranking
from sorce.models.model import TextEncoder
from sorce.plugin.cluster.endpoint import MOST_CHARACTERS
from sorce.plugin.cluster.template import NOTS, PHRASES
from sorce.plugin.query.proof import proven

# ML Commons fills in what looks like this before it calls the encoder, in a person's text too.
FILLED_IN = "${parameters"
# Beside another control character, it does not arrive; of all of Unicode no other is lost (tried on 3.6.0).
LOST = "\x7f"

SCANNED = 1_000_000
"""Regions up to which a ranking by product compares every one, unless told to ask the graph. It takes less time than
to prove what the graph proposes (a fifteenth at 150,000 regions: `benchmarks/product.py`), and overlooks nothing."""

MAX_K = 4000
"""Candidates at which the proof of a ranking by product gives up, unless told otherwise."""


@dataclass(frozen=True)
class SearchRequest:
    """What to look for: phrases that a photo must all show, "not" that count against it, and how to look.

    `size` is how many photos, `boxes` how many boxes of each per phrase, `min_similarity` the least similarity of a
    box; `k` and `ef_search` are those of `sorce.mappings.query.Query`, and `exact` scans every photo. `rank` is by
    similarity or product, and `debias` how much of a region's hubness counts against it
    (`sorce.mappings.ranking`). By product the
    client scans an index of at most `SCANNED` regions unless `k` or `ef_search` is given. Else it raises `k`, at most
    to `max_k`, until the order is proved, and the graph is searched more widely, since the proof takes its word.
    Raises QueryError.
    """

    phrases: Sequence[str]
    nots: Sequence[str] = ()
    size: int = 10
    boxes: int = 1
    filter: Filter = field(default_factory=Filter)
    min_similarity: float | None = None
    k: int | None = None
    ef_search: int | None = None
    exact: bool = False
    rank: str = SIMILARITY
    debias: float = 0.0
    max_k: int = MAX_K

    def __post_init__(self) -> None:
        for text in self.texts:
            _refuse_unreadable(text)
        if self.boxes < 1:
            raise QueryError(f"{self.boxes} boxes per photo is out of range; ask for 1 or more.")
        if not 1 <= self.max_k <= MAX_CANDIDATES:
            raise QueryError(f"{self.max_k} as the most candidates is out of range; choose 1 to {MAX_CANDIDATES}.")

    @property
    def texts(self) -> list[str]:
        return [*self.phrases, *self.nots]

    @property
    def is_plain(self) -> bool:
        """Ranked by similarity alone, as any index can."""
        return self.rank == SIMILARITY and self.debias == 0

    @property
    def _width(self) -> int:
        if self.ef_search is not None:
            return self.ef_search
        return EF_SEARCH if self.rank == SIMILARITY else EF_SEARCH_TO_PROVE

    def query(self, phrases: Sequence[Any], nots: Sequence[Any], ranking: Ranking = PLAIN) -> Query:
        """With vectors for its texts. Raises QueryError for what is out of range."""
        return Query(
            phrases=phrases,
            nots=nots,
            size=self.size,
            boxes=boxes_to_fetch(self.boxes),
            filter=self.filter.clauses(),
            min_similarity=self.min_similarity,
            k=self.k,
            ef_search=self._width,
            exact=self.exact,
            ranking=ranking,
        )


def _refuse_unreadable(text: str) -> None:
    if not text.strip():
        raise QueryError("a text to search for is blank; say what to look for.")
    if len(text) > MOST_CHARACTERS:
        raise QueryError(f"a text of {len(text)} characters is too long; use at most {MOST_CHARACTERS}.")
    refuse_half("a text", text)


class Searcher(Protocol):
    """One index, asked in words."""

    def search(self, request: SearchRequest) -> list[Hit]:
        """The photos found, best first. Raises QueryError."""
        ...


class ClientSearch:
    """Encodes the texts here, with the model that made the index.

    An alias is resolved once: the index behind it and its recipe stay together, whatever the alias names later.
    """

    def __init__(self, client: OpenSearch, index: str, encoder: Callable[[Recipe], TextEncoder]) -> None:
        """`encoder` gives the recipe's encoder. Raises IndexMissing, and what `encoder` raises."""
        self._client = client
        self._index, self._recipe = resolved(client, index)
        self._encoder = encoder(self._recipe)
        self._version = version(client)

    def search(self, request: SearchRequest) -> list[Hit]:
        by = ranking(self._recipe, request.rank, request.debias)
        # Before the texts are encoded, so that a request that cannot be asked costs nothing.
        request.query(request.phrases, request.nots, by)
        vectors = self._encoder.embed_texts(request.texts)
        split = len(request.phrases)
        query = request.query(list(vectors[:split]), list(vectors[split:]), by)

        def ask(query: Query) -> list[Hit]:
            return hits(self._ask(search_body(query, self._version)), request.boxes, len(request.nots), by)

        if by.rank == SIMILARITY or request.exact:
            return ask(query)
        if request.k is None and request.ef_search is None and self._regions <= SCANNED:
            return ask(replace(query, exact=True))
        return proven(query, request.max_k, ask, self._last)

    @cached_property
    def _regions(self) -> int:
        """How many the index has, or had when first asked."""
        body = {"size": 0, "track_total_hits": False, "aggs": {"regions": {"nested": {"path": "regions"}}}}
        return int(self._ask(body)["aggregations"]["regions"]["doc_count"])

    def _last(self, query: Query) -> list[float | None]:
        """Of each phrase the last candidate's cosine."""
        answers = [self._ask(last_candidate(vector, query, self._version)) for vector in query.phrases]
        found = [answer["hits"]["hits"] for answer in answers]
        return [unbent(hits[0]["_score"]) if hits else None for hits in found]

    def _ask(self, body: Json) -> Any:
        # Written by orjson: float32 with as few digits as keep it, and no list of Python numbers in between.
        encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return self._client.search(index=self._index, body=encoded)


class ServerSearch:
    """Has the cluster encode the texts: by the template and the pipeline that `sorce plugin install` made."""

    def __init__(self, client: OpenSearch, index: str) -> None:
        self._client, self._index, self._names = client, index, Names(index)

    def search(self, request: SearchRequest) -> list[Hit]:
        """Raises QueryError; PluginError where nothing is installed for the index, or by an older sorce.

        With k as given: hits ranked by product are not proved.
        """
        by = PLAIN
        if not request.is_plain:
            by = ranking(recipe_of(self._client, self._index), request.rank, request.debias)
        answer = self._ask(params(request, by))
        try:
            found = hits(answer, request.boxes, len(request.nots), by)
        except KeyError as error:
            if error.args != (COSINE,):
                raise
            raise PluginError(
                f"what is installed for '{self._index}' is of an older sorce and ranks by similarity alone; "
                f"run `sorce plugin install --index {self._index} --encoder URL` again, or search with --client."
            ) from error
        unproved = by.rank == PRODUCT and not request.exact
        return [replace(hit, unproved=unproved) for hit in found]

    def _ask(self, params: Json) -> Any:
        try:
            return self._client.transport.perform_request(
                "POST",
                f"/{self._index}/_search/template",
                params={"search_pipeline": self._names.search},
                body={"id": self._names.search, "params": params},
            )
        except exceptions.TransportError as error:
            if error.error == "resource_not_found_exception" or "is not defined" in reason(error):
                raise PluginError(
                    f"nothing is installed in the cluster to encode searches of '{self._index}'; "
                    f"run `sorce plugin install --index {self._index} --encoder URL`, or search with --client."
                ) from error
            raise


def params(request: SearchRequest, by: Ranking = PLAIN) -> Json:
    """The request as parameters of the stored template. Raises QueryError."""
    query = request.query(request.phrases, request.nots, by)
    if any(FILLED_IN in text for text in request.texts):
        raise QueryError(f"the cluster would fill in what follows '{FILLED_IN}' in a text; search with --client.")
    if any(LOST in text for text in request.texts):
        raise QueryError("the cluster would lose the character DEL (U+007F) of a text; search with --client.")
    if "${" in json.dumps(query.filter):
        raise QueryError("the cluster would fill in what follows '${' in a condition; search with --client.")
    named = dict(zip(PHRASES, request.phrases, strict=False)) | dict(zip(NOTS, request.nots, strict=False))
    ranked = {} if by.is_plain else {"rank": by.rank, "debias": by.debias or None}
    optional = {"filter": query.filter or None, "min_similarity": query.min_similarity, **ranked}
    return {
        **named,
        "size": query.size,
        "boxes": query.boxes,
        "k": query.candidates,
        "ef_search": query.ef_search,
        "exact": query.exact,
        **{name: value for name, value in optional.items() if value is not None},
    }
