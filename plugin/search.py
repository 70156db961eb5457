"""The search: a request in words, answered with hits, whoever encodes the words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from opensearchpy import OpenSearch, exceptions

from sorce.cluster import reason, resolved, version
from sorce.errors import PluginError, QueryError
from sorce.mappings import Hit, Recipe
from sorce.mappings.answer import boxes_to_fetch, hits
from sorce.mappings.filters import Filter
from sorce.mappings.query import EF_SEARCH, Json, Query, search_body
from sorce.models.model import TextEncoder
from sorce.plugin.endpoint import MOST_CHARACTERS
from sorce.plugin.names import Names
from sorce.plugin.template import NOTS, PHRASES

# ML Commons fills in what looks like this before it calls the encoder, in a person's text too.
FILLED_IN = "${parameters."


@dataclass(frozen=True)
class SearchRequest:
    """What to look for: phrases that a photo must all show, "not" that count against it, and how to look.

    `size` is how many photos, `boxes` how many boxes of each per phrase, `floor` the least similarity of a box; `k` and
    `ef_search` are those of `sorce.mappings.query.Query`, and `exact` scans every photo. Raises QueryError.
    """

    phrases: Sequence[str]
    nots: Sequence[str] = ()
    size: int = 10
    boxes: int = 1
    filter: Filter = field(default_factory=Filter)
    floor: float | None = None
    k: int | None = None
    ef_search: int = EF_SEARCH
    exact: bool = False

    def __post_init__(self) -> None:
        for text in self.texts:
            _refuse_unreadable(text)
        if self.boxes < 1:
            raise QueryError(f"{self.boxes} boxes per photo is out of range; ask for 1 or more.")

    @property
    def texts(self) -> list[str]:
        return [*self.phrases, *self.nots]

    def query(self, phrases: Sequence[Any], nots: Sequence[Any]) -> Query:
        """With vectors for its texts. Raises QueryError for what is out of range."""
        return Query(
            phrases=phrases,
            nots=nots,
            size=self.size,
            boxes=boxes_to_fetch(self.boxes),
            filter=self.filter.clauses(),
            floor=self.floor,
            k=self.k,
            ef_search=self.ef_search,
            exact=self.exact,
        )


def _refuse_unreadable(text: str) -> None:
    if not text.strip():
        raise QueryError("a text to search for is blank; say what to look for.")
    if len(text) > MOST_CHARACTERS:
        raise QueryError(f"a text of {len(text)} characters is too long; use at most {MOST_CHARACTERS}.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError("a text holds half a character (a lone surrogate, or bytes that are not UTF-8).") from error


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
        self._index, recipe = resolved(client, index)
        self._encoder = encoder(recipe)
        self._version = version(client)

    def search(self, request: SearchRequest) -> list[Hit]:
        # Before the texts are encoded, so that a request that cannot be asked costs nothing.
        request.query(request.phrases, request.nots)
        vectors = self._encoder.embed_texts(request.texts)
        split = len(request.phrases)
        body = search_body(request.query(list(vectors[:split]), list(vectors[split:])), self._version)
        # Written by orjson: float32 with as few digits as keep it, and no list of Python numbers in between.
        encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return hits(self._client.search(index=self._index, body=encoded), request.boxes, len(request.nots))


class ServerSearch:
    """Has the cluster encode the texts: by the template and the pipeline that `sorce plugin install` made."""

    def __init__(self, client: OpenSearch, index: str) -> None:
        self._client, self._index, self._names = client, index, Names(index)

    def search(self, request: SearchRequest) -> list[Hit]:
        """Raises QueryError; PluginError where nothing is installed for the index."""
        try:
            answer = self._client.transport.perform_request(
                "POST",
                f"/{self._index}/_search/template",
                params={"search_pipeline": self._names.search},
                body={"id": self._names.search, "params": params(request)},
            )
        except exceptions.TransportError as error:
            if error.error == "resource_not_found_exception" or "is not defined" in reason(error):
                raise PluginError(
                    f"nothing is installed in the cluster to encode searches of '{self._index}'; "
                    f"run `sorce plugin install --index {self._index} --encoder URL`, or search with --client."
                ) from error
            raise
        return hits(answer, request.boxes, len(request.nots))


def params(request: SearchRequest) -> Json:
    """The request as parameters of the stored template. Raises QueryError."""
    query = request.query(request.phrases, request.nots)
    if any(FILLED_IN in text for text in request.texts):
        raise QueryError(f"the cluster would fill in what follows '{FILLED_IN}' in a text; search with --client.")
    named = dict(zip(PHRASES, request.phrases, strict=False)) | dict(zip(NOTS, request.nots, strict=False))
    optional = {"filter": query.filter or None, "floor": query.floor}
    return {
        **named,
        "size": query.size,
        "boxes": query.boxes,
        "k": query.candidates,
        "ef_search": query.ef_search,
        "exact": query.exact,
        **{name: value for name, value in optional.items() if value is not None},
    }
