"""The connection to a cluster, and the first requests that every room needs."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import orjson
from opensearchpy import JSONSerializer, OpenSearch, exceptions
from opensearchpy.helpers.errors import ScanError
from urllib3.exceptions import InsecureRequestWarning

from sorce.access import Access
from sorce.errors import ClusterError, IndexMissing, UnsupportedVersion
from sorce.mappings import Recipe
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import check_index_name
from sorce.mappings.query import Version

log = logging.getLogger("sorce.cluster")

DEFAULT_URL = "http://127.0.0.1:9200"
TIMEOUT_SECONDS = 60
"""Seconds that a cluster may take to answer one request."""


# OpenSSL's messages, and what they mean for the user.
UNTRUSTED = {
    "certificate has expired": "its certificate has expired; have it renewed",
    "certificate is not yet valid": "its certificate is not valid yet; check this machine's clock",
    "certificate is not valid for": "its certificate is for another host; write the host that the certificate names",
    "self-signed certificate": "nobody known here signed its certificate; name its authority in OPENSEARCH_CA_FILE",
    "self signed certificate": "nobody known here signed its certificate; name its authority in OPENSEARCH_CA_FILE",
    "unable to get": "nobody known here signed its certificate; name its authority in OPENSEARCH_CA_FILE",
    "certificate signature failure": "its certificate is a forgery of one by the authority in OPENSEARCH_CA_FILE",
}
UNVERIFIED = "CERTIFICATE_VERIFY_FAILED"
REFUSED = re.compile(r"ALERT_\w*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")
"""Alerts about this client's certificate. Others, such as `internal_error`, may come from a restarting cluster."""
NO_RIGHT = "the cluster does not say which right is missing"
WHO_ASKS = "OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD_FILE (or OPENSEARCH_TOKEN, or OPENSEARCH_CLIENT_CERT)"


class QuickJson(JSONSerializer):
    """Reads JSON five times faster than Python's own reader, which is asked where the JSON is not strict."""

    def loads(self, s: str) -> Any:
        try:
            return orjson.loads(s)
        except orjson.JSONDecodeError:
            return super().loads(s)


Hosts = str | Sequence[str] | OpenSearch | None
"""Where a cluster is: a url, the urls of several of its nodes, or a client; None is OPENSEARCH_URL or this machine."""


def connect(cluster: Hosts = None, access: Access | None = None) -> OpenSearch:
    """A client for the cluster at a url or at several hosts, else at OPENSEARCH_URL, else on this machine.

    `access` says who asks; else the environment does (`sorce.access`). A client of the caller's is returned as it is.
    Raises ClusterError if no cluster answers or it is not trusted, UnsupportedVersion if its version would give wrong
    answers.
    """
    client = cluster if isinstance(cluster, OpenSearch) else _client(cluster, access or Access.from_environment())
    with translate_errors(address(client)):
        found = version(client)
    log.debug("OpenSearch %d.%d answers at %s", found.major, found.minor, address(client))
    return client


def _client(cluster: str | Sequence[str] | None, access: Access) -> OpenSearch:
    given = os.environ.get("OPENSEARCH_URL") or DEFAULT_URL if cluster in (None, "") else cluster
    urls = [_plain(url) for url in ([given] if isinstance(given, str) else given)]
    if len({urlsplit(url).scheme for url in urls}) > 1:
        raise ClusterError("some hosts are given with http:// and some with https://; give all of a cluster alike.")
    if not urls:
        raise ClusterError("the list of the cluster's hosts is empty; give at least one, as https://host:port.")
    # For each host, since each is checked: no secret may be sent unencrypted.
    *_, arguments = [access.arguments(url) for url in urls]
    if access.insecure:
        _warn(", ".join(urls))
    json = QuickJson()
    return OpenSearch(urls, timeout=TIMEOUT_SECONDS, max_retries=3, pool_maxsize=16, serializer=json, **arguments)


def _plain(url: str) -> str:
    """The URL with its scheme. Raises an error for a password, which messages and process lists would show."""
    # Checked anywhere: after a password with / or #, the @ is not in the URL's user part.
    if "@" in url:
        raise ClusterError(
            f"the cluster's URL (--url or OPENSEARCH_URL) holds a user or a password, for all to read; write it as "
            f"https://host:port and set {WHO_ASKS}."
        )
    given = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        # Neither the URL nor the error, which contains it, is quoted: the apparent port may be a password.
        raise ClusterError(
            "the cluster's URL (--url or OPENSEARCH_URL) is not understood; write it as https://host:port, with a port "
            "from 1 to 65535."
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClusterError(f"'{url}' is not a cluster's URL; write it as https://host:port.")
    return given


def _warn(url: str) -> None:
    log.warning(
        "--insecure: nobody checks that %s is your cluster; whoever is in between can read and change all that is "
        "sent, passwords too.",
        url,
    )
    # It would only repeat the same warning in other words.
    warnings.simplefilter("ignore", InsecureRequestWarning)


_VERSIONS: WeakKeyDictionary[OpenSearch, Version] = WeakKeyDictionary()


def version(client: OpenSearch) -> Version:
    """The server's version, requested once per client.

    Raises ClusterError if it is no OpenSearch, UnsupportedVersion if it is too old or known to be wrong.
    """
    if client not in _VERSIONS:
        _VERSIONS[client] = _asked_version(client)
    return _VERSIONS[client]


def _asked_version(client: OpenSearch) -> Version:
    try:
        said = client.info()["version"]
        number = said["number"]
        found = Version.parse(number)
        # Elasticsearch names no distribution.
        if said.get("distribution") != "opensearch":
            raise ValueError(f"version {number} of something else")
    except (exceptions.SerializationError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClusterError(
            f"what answers at {address(client)} is no OpenSearch; give the cluster's own address as --url or "
            "OPENSEARCH_URL."
        ) from error
    if found < Version(2, 19):
        raise UnsupportedVersion(f"OpenSearch {number} is too old; sorce needs 2.19, or 3.1 and newer.")
    if found == Version(3, 0):
        raise UnsupportedVersion(
            "OpenSearch 3.0 answers nested k-NN wrongly after updates (k-NN 2731); sorce needs 2.19, or 3.1 and newer."
        )
    return found


def look_up(client: OpenSearch, name: str) -> FoundIndex | None:
    """The facts about an index or alias, from one request; None if it does not exist.

    Called once per command; the result is passed on. Raises IndexNameError, and IndexMissing if it is not one sorce
    index, or an alias with one write index and with indices of one recipe.
    """
    answer = description(client, name)
    return FoundIndex.of(name, answer) if answer else None


def look_up_all(client: OpenSearch, name: str) -> list[FoundIndex]:
    """Like `look_up`, for an alias that may name several indices by mistake: then each comes by itself."""
    answer = description(client, name)
    if not answer:
        return []
    try:
        return [FoundIndex.of(name, answer)]
    except IndexMissing:
        # Raises it again if the reason is not that there are several.
        return FoundIndex.each_of(name, answer)


def find_index(client: OpenSearch, name: str) -> FoundIndex:
    """Like `look_up`. Raises IndexMissing if there is none."""
    found = look_up(client, name)
    if found is None:
        raise missing(name)
    return found


def missing(name: str) -> IndexMissing:
    return IndexMissing(f"there is no index '{name}'; make it with `sorce ingest --index {name} PHOTOS`.")


def description(client: OpenSearch, name: str) -> dict[str, Any]:
    """Mapping, settings and aliases of an index, or of each index of an alias, by its name; empty if there is none.

    Raises IndexNameError.
    """
    check_index_name(name)
    try:
        found: dict[str, Any] = client.indices.get(index=name, params={"flat_settings": "true"})
    except exceptions.NotFoundError:
        return {}
    return found


def recipe_of(client: OpenSearch, index: str) -> Recipe:
    """The recipe of an index or alias. Raises IndexMissing."""
    return find_index(client, index).recipe


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turns the client library's errors into a ClusterError of one sentence."""
    try:
        yield
    except exceptions.AuthenticationException as error:
        raise ClusterError(
            f"the cluster at {url} does not know who asks (401); set {WHO_ASKS}, or correct them."
        ) from error
    except exceptions.AuthorizationException as error:
        raise ClusterError(
            f"this user may not do that on the cluster at {url} (403): {reason(error, NO_RIGHT)}; "
            "ask its administrator for one of the roles that `sorce plugin role` prints."
        ) from error
    except exceptions.SSLError as error:
        distrust = distrusted(error)
        if distrust is not None:
            raise ClusterError(f"the cluster at {url} is not trusted: {distrust}.") from error
        if "WRONG_VERSION_NUMBER" in str(error.info):
            raise ClusterError(f"what answers at {url} does not speak TLS; write http://.") from error
        raise ClusterError(
            f"the connection to {url} broke off ({error.info}); see whether the cluster is up, and try again."
        ) from error
    except exceptions.ConnectionTimeout as error:
        raise ClusterError(
            f"the cluster at {url} has not answered in time; see whether it is overloaded, and try again."
        ) from error
    except exceptions.ConnectionError as error:
        if url.startswith("http:") and "aborted" in str(error.info):
            raise ClusterError(f"what answers at {url} hangs up; if it speaks TLS, write https://.") from error
        raise ClusterError(
            f"no OpenSearch answers at {url}; give --url or OPENSEARCH_URL, or start one with `sorce engine start`."
        ) from error
    except exceptions.TransportError as error:
        raise ClusterError(f"the cluster at {url} refused ({error.status_code}): {reason(error)}.") from error
    except (exceptions.SerializationError, ScanError) as error:
        raise ClusterError(
            f"the cluster at {url} gave an answer that is not whole ({type(error).__name__}); run the same command "
            "again."
        ) from error


def distrusted(error: exceptions.SSLError) -> str | None:
    """Why one side does not trust the other's certificate; None if the connection failed for another reason."""
    said = str(error.info)
    meaning = next((meaning for sign, meaning in UNTRUSTED.items() if sign in said), None)
    if meaning is None and REFUSED.search(said):
        return "it refuses this client's certificate; check OPENSEARCH_CLIENT_CERT"
    return said if meaning is None and UNVERIFIED in said else meaning


def reason(error: exceptions.TransportError, otherwise: str = "no reason is given") -> str:
    """The server's own message, without the JSON around it; an answer to HEAD has none."""
    info: Any = error.info
    try:
        causes = info["error"]["root_cause"] or [info["error"]]
        return str(causes[0]["reason"]).rstrip(".")
    except (KeyError, TypeError, IndexError):
        return str(error.error).rstrip(".") or otherwise


def cause(error: exceptions.TransportError) -> str:
    """The innermost cause in the server's answer, else its reason: the outer ones only say that something failed."""
    found: Any = error.info
    try:
        found = found["error"]["caused_by"]
        while "caused_by" in found:
            found = found["caused_by"]
        return str(found["reason"]).rstrip(".;")
    except (KeyError, TypeError):
        return reason(error)


def address(client: OpenSearch) -> str:
    """For messages: the cluster's address that the client uses."""
    host = client.transport.hosts[0]
    scheme = "https" if host.get("use_ssl") else "http"
    return f"{scheme}://{host.get('host', 'localhost')}:{host.get('port', 9200)}"
