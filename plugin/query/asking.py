"""Sends a search to the cluster: accepts only complete answers, unless partial ones are allowed."""

from __future__ import annotations

from copy import copy
from typing import Any
from urllib.parse import quote

import orjson
from opensearchpy import OpenSearch, Transport, exceptions

from sorce.cluster import cause
from sorce.errors import ClusterError
from sorce.mappings.answer import shortfall
from sorce.mappings.query import Json

TRIES = 3
"""How often a search is sent that a shard does not answer: a node may have stopped between the search's two phases
("No search context found"), while another node has a copy of its shards."""

BAD_REQUEST = 400
UNKNOWN = "unknown method parameter"
"""k-NN fills its list of known parameters at its first search. Other searches that come at that moment are refused."""

NOT_FOUND = 404
UNAVAILABLE = 503
"""Also the answer of a node that does not know the cluster yet."""

_REMEDY = "try again when they are back, or take what there is with --allow-partial (allow_partial=True)"


def ask(client: OpenSearch, index: str, body: Json, allow_partial: bool) -> Any:
    """The answer to a search. Raises ClusterError if it would not cover the whole index."""
    # orjson writes float32 with the fewest digits that keep the value, without a list of Python numbers in between.
    encoded = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return send(client, index, "_search", encoded, {}, allow_partial)


def send(client: OpenSearch, index: str, way: str, body: Any, params: Json, allow_partial: bool) -> Any:
    """Like `ask`, by `_search` or `_search/template`. The index name is sent as given: an alias keeps its filter."""
    params = {**params, "allow_partial_search_results": "true" if allow_partial else "false"}
    transport = transport_of(client)
    for left in reversed(range(TRIES)):
        try:
            answer = transport.perform_request("POST", f"/{quote(index)}/{way}", params=params, body=body)
            break
        except exceptions.TransportError as error:
            lacks_shards = _shards_are_missing(error)
            if not lacks_shards and (not left or not _has_just_started(error)):
                raise
            if not left:
                # The rest names an OpenSearch setting that sorce sets for each request.
                said = cause(error).split(". Consider")[0]
                raise ClusterError(f"the answer of '{index}' is not complete: {said}; {_REMEDY}.") from error
    if not allow_partial and (missing := shortfall(answer)) is not None:
        raise ClusterError(f"the answer of '{index}' is not complete: {missing}; {_REMEDY}.")
    return answer


def transport_of(client: OpenSearch) -> Transport:
    """The client's transport, but a node that answers 503 does not count as dead: it does so while a shard is missing.

    Otherwise all nodes would soon count as dead, and a search would be sent to one that is.
    """
    found = copy(client.transport)
    found.retry_on_status = tuple(status for status in found.retry_on_status if status != UNAVAILABLE)
    return found


def _has_just_started(error: exceptions.TransportError) -> bool:
    return error.status_code == UNAVAILABLE or (error.status_code == BAD_REQUEST and UNKNOWN in str(error.info))


def _shards_are_missing(error: exceptions.TransportError) -> bool:
    """A node that stops forgets its searches first: it answers 404 as long as it answers."""
    lost = error.status_code == NOT_FOUND or (isinstance(error.status_code, int) and error.status_code >= 500)
    return lost and error.error == "search_phase_execution_exception"
