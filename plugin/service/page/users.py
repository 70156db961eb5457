"""Who asks the cluster: the service's own user or, with `--pass-credentials`, the caller."""

from __future__ import annotations

import hashlib
import logging
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from opensearchpy import OpenSearch, exceptions
from starlette.exceptions import HTTPException

from sorce.access import Access
from sorce.cluster import reason
from sorce.errors import ClusterError, IndexMissing, ModelError, QueryError, SorceError, UnsupportedVersion
from sorce.mappings.found import FoundIndex
from sorce.mappings.query import Json
from sorce.plugin.query.asking import ask
from sorce.plugin.query.search import ClientSearch
from sorce.plugin.service.batching import Full, WorkerFailed
from sorce.plugin.service.page.indices import Counts, Indices, count_body
from sorce.plugin.service.requests import Refused

MAX_CALLERS = 64
"""Maximum callers whose connections are kept, with `--pass-credentials`."""
COUNTED_SECONDS = 30
"""How long the number of an index's photos is not asked for again."""

BASIC = {"WWW-Authenticate": 'Basic realm="OpenSearch", charset="UTF-8"'}
NO_ANSWER = "the cluster does not answer; ask again later. The service's log says why."

NO_INDEX = "index_not_found_exception"

Connect = Callable[[Access], OpenSearch]
"""Connects to the cluster as another user."""

log = logging.getLogger("sorce.service")


class ClusterUser:
    """One user of the cluster, with what was learned by asking as this user. For use from any thread."""

    def __init__(self, client: OpenSearch, indices: Indices, is_own: bool) -> None:
        self.client, self.is_own = client, is_own
        self._indices = indices
        self._searchers: dict[str, ClientSearch] = {}
        self._counts: dict[str, tuple[float, Counts]] = {}
        self._lock = Lock()

    def searcher(self, index: str | None) -> ClientSearch:
        """The search of an index, by its name; None is the first one. Raises Refused for one that is not served."""
        found = self._indices.named(index)
        with self._lock:
            # Kept: it notices if the name stands for another index.
            if found.asked not in self._searchers:
                self._searchers[found.asked] = ClientSearch(self.client, found, self._indices.encoders.of)
            return self._searchers[found.asked]

    def found(self, index: str | None) -> FoundIndex:
        """The index as it was last looked up. Raises Refused."""
        return self.searcher(index).found

    def ask(self, index: str, body: Json) -> Any:
        """The answer to a search, whatever shards are missing."""
        return ask(self.client, index, body, allow_partial=True)

    def counts(self, index: str) -> Counts:
        """How many photos and regions this user may see; asked again after `COUNTED_SECONDS`."""
        at, counts = self._counts.get(index, (0.0, Counts(0, 0)))
        if time.monotonic() - at > COUNTED_SECONDS or not at:
            counts = Counts.of(self.ask(index, count_body()))
            self._counts[index] = (time.monotonic(), counts)
        return counts


class ClusterUsers:
    """Finds the caller of a request. With `connect`, each asks with the credentials of the request."""

    def __init__(self, own: ClusterUser, indices: Indices, connect: Connect | None = None) -> None:
        self.own = own
        self._indices, self._connect = indices, connect
        self._known: OrderedDict[str, ClusterUser] = OrderedDict()
        self._lock = Lock()

    def of(self, authorization: str) -> ClusterUser:
        """`authorization` is the header. Raises HTTPException if the cluster does not know these credentials."""
        if self._connect is None:
            return self.own
        digest = hashlib.sha256(authorization.encode("latin-1")).hexdigest()
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
                return self._known[digest]
        credentials = Credentials.of(authorization)
        with asking(is_own=False):
            # This asks the cluster, which refuses wrong credentials.
            client = self._connect(
                Access(username=credentials.username, password=credentials.password, token=credentials.token)
            )
        with self._lock:
            self._known[digest] = user = ClusterUser(client, self._indices, is_own=False)
            if len(self._known) > MAX_CALLERS:
                # Not closed: it may be in use, and its connections end with it.
                self._known.popitem(last=False)
        return user


@dataclass(frozen=True)
class Credentials:
    """What an `Authorization` header holds: a user and a password, or a token."""

    username: str | None = None
    password: str | None = None
    token: str | None = None

    @classmethod
    def of(cls, header: str) -> Credentials:
        """Raises HTTPException."""
        scheme, _, given = header.partition(" ")
        if scheme.lower() == "bearer" and given and given.isascii() and given.isprintable():
            return cls(token=given)
        try:
            username, colon, password = b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            username, colon, password = "", "", ""
        if scheme.lower() != "basic" or not (colon and username):
            raise HTTPException(401, "send your user and password, or a token, of the cluster.", BASIC)
        return cls(username, password)


@contextmanager
def asking(is_own: bool) -> Iterator[None]:
    """Turns errors of a search into Refused, or HTTPException for unknown credentials. The log says more."""
    try:
        yield
    except (HTTPException, Refused):
        raise
    except (QueryError, ModelError, IndexMissing) as error:
        raise Refused(404 if isinstance(error, IndexMissing) else 422, str(error)) from error
    except (Full, WorkerFailed, TimeoutError) as error:
        raise Refused(503, "too many searches wait for the model already; ask again in a second.") from error
    except (exceptions.OpenSearchException, SorceError) as error:
        cause = _refusal(error)
        if not is_own and cause == 401:
            raise HTTPException(
                401, "the cluster does not know this user and password, or this token.", BASIC
            ) from error
        if not is_own and cause == 403:
            raise Refused(403, "this user may not search this index.") from error
        if cause == 404 and isinstance(error, exceptions.NotFoundError) and error.error == NO_INDEX:
            raise Refused(404, f"the index is no longer there ({reason(error)}); choose another one.") from error
        if cause == 400 and isinstance(error, exceptions.TransportError):
            raise Refused(422, f"the cluster refuses this search: {reason(error)}.") from error
        log.error("the cluster was asked in vain: %s", error)
        if isinstance(error, ClusterError) and not isinstance(error, UnsupportedVersion) and cause is None:
            raise Refused(503, str(error)) from error
        raise Refused(503, NO_ANSWER) from error


def _refusal(error: BaseException | None) -> int | None:
    """The status by which the cluster refused; None if the error is another one."""
    while error is not None:
        if isinstance(error, exceptions.TransportError):
            return error.status_code if isinstance(error.status_code, int) else 0
        error = error.__cause__
    return None
