"""The connection to a cluster, and what every room asks of it first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch, exceptions

from sorce.errors import ClusterError, IndexMissing, UnsupportedVersion
from sorce.mappings import Recipe
from sorce.mappings.query import Version

DEFAULT_URL = "http://127.0.0.1:9200"


def connect(url: str | None = None) -> OpenSearch:
    """A client for the cluster at `url`, else at OPENSEARCH_URL, else on this machine.

    Raises ClusterError where none answers, UnsupportedVersion where it would answer wrongly.
    """
    url = url or os.environ.get("OPENSEARCH_URL") or DEFAULT_URL
    client = OpenSearch(url, timeout=60, max_retries=3, pool_maxsize=16)
    with sentences(url):
        version(client)
    return client


def version(client: OpenSearch) -> Version:
    """Raises UnsupportedVersion for what is too old or known to be wrong."""
    number = client.info()["version"]["number"]
    found = Version.parse(number)
    if found < Version(2, 19):
        raise UnsupportedVersion(f"OpenSearch {number} is too old; sorce needs 2.19, or 3.1 and newer.")
    if found == Version(3, 0):
        raise UnsupportedVersion(
            "OpenSearch 3.0 answers nested k-NN wrongly after updates (k-NN 2731); sorce needs 2.19, or 3.1 and newer."
        )
    return found


def resolved(client: OpenSearch, index: str) -> tuple[str, Recipe]:
    """The index that a name or alias stands for now, and its recipe, both of one moment. Raises IndexMissing."""
    try:
        found = client.indices.get_mapping(index=index)
    except exceptions.NotFoundError as error:
        raise IndexMissing(
            f"there is no index '{index}'; make it with `sorce ingest --index {index} PHOTOS`."
        ) from error
    if len(found) != 1:
        raise IndexMissing(f"'{index}' names {len(found)} indices; name one of them: {', '.join(sorted(found))}.")
    [(name, body)] = found.items()
    return str(name), Recipe.from_meta(body["mappings"].get("_meta", {}), index)


def recipe_of(client: OpenSearch, index: str) -> Recipe:
    """The recipe of an index or alias. Raises IndexMissing."""
    return resolved(client, index)[1]


@contextmanager
def sentences(url: str) -> Iterator[None]:
    """Turns what the client library raises into a ClusterError of one sentence."""
    try:
        yield
    except exceptions.AuthenticationException as error:
        raise ClusterError(f"the cluster at {url} wants a user and a password (401).") from error
    except exceptions.AuthorizationException as error:
        raise ClusterError(f"this user may not do that on the cluster at {url} (403): {reason(error)}.") from error
    except exceptions.ConnectionError as error:
        raise ClusterError(
            f"no OpenSearch answers at {url}; give --url or OPENSEARCH_URL, or start one with `sorce engine start`."
        ) from error
    except exceptions.TransportError as error:
        raise ClusterError(f"the cluster at {url} refused ({error.status_code}): {reason(error)}.") from error


def reason(error: exceptions.TransportError) -> str:
    """The server's own words, without the JSON round them."""
    info: Any = error.info
    try:
        causes = info["error"]["root_cause"] or [info["error"]]
        return str(causes[0]["reason"]).rstrip(".")
    except (KeyError, TypeError, IndexError):
        return str(error.error).rstrip(".")


def address(client: OpenSearch) -> str:
    """For messages: where the client looks for the cluster."""
    host = client.transport.hosts[0]
    return f"{host.get('scheme', 'http')}://{host.get('host', 'localhost')}:{host.get('port', 9200)}"
