"""The connection to a cluster, and what every room asks of it first."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from opensearchpy import OpenSearch, exceptions
from opensearchpy.helpers.errors import ScanError
from urllib3.exceptions import InsecureRequestWarning

from sorce.access import Access
from sorce.errors import ClusterError, IndexMissing, UnsupportedVersion
from sorce.mappings import Recipe
from sorce.mappings.found import FoundIndex
from sorce.mappings.names import check_index_name
from sorce.mappings.query import Version

DEFAULT_URL = "http://127.0.0.1:9200"
TIMEOUT_SECONDS = 60
"""How long a cluster may take to answer one request."""


# What OpenSSL says, and what it means for a person.
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
"""Alerts that speak of this client's certificate; others, such as `internal_error`, may be a restarting cluster's."""
NO_RIGHT = "the cluster does not say which right is missing"
WHO_ASKS = "OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD_FILE (or OPENSEARCH_TOKEN, or OPENSEARCH_CLIENT_CERT)"


def connect(url: str | None = None, access: Access | None = None) -> OpenSearch:
    """A client for the cluster at `url`, else at OPENSEARCH_URL, else on this machine.

    `access` says who asks; else the environment does (`sorce.access`). Raises ClusterError where none answers or the
    cluster is not to be trusted, UnsupportedVersion where it would answer wrongly.
    """
    url = _plain(url or os.environ.get("OPENSEARCH_URL") or DEFAULT_URL)
    access = access or Access.from_environment()
    if access.insecure:
        _warn(url)
    client = OpenSearch(url, timeout=TIMEOUT_SECONDS, max_retries=3, pool_maxsize=16, **access.arguments(url))
    with translate_errors(url):
        version(client)
    return client


def _plain(url: str) -> str:
    """The URL with its scheme, and without a password, which would be shown in messages and in lists of processes."""
    # Anywhere: behind a password with a / or a # in it, it is no longer in the part for users.
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
        # Not quoted, nor is the error, which quotes it: what looks like a port may be a password without its host.
        raise ClusterError(
            "the cluster's URL (--url or OPENSEARCH_URL) is not understood; write it as https://host:port, with a port "
            "from 1 to 65535."
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClusterError(f"'{url}' is not a cluster's URL; write it as https://host:port.")
    return given


def _warn(url: str) -> None:
    print(
        f"WARNING: --insecure: nobody checks that {url} is your cluster; whoever is in between can read and change "
        "all that is sent, passwords too.",
        file=sys.stderr,
    )
    # It would say the same once more, and in other words.
    warnings.simplefilter("ignore", InsecureRequestWarning)


_VERSIONS: WeakKeyDictionary[OpenSearch, Version] = WeakKeyDictionary()


def version(client: OpenSearch) -> Version:
    """The server's version, asked once per client.

    Raises ClusterError for what is no OpenSearch, UnsupportedVersion for what is too old or known to be wrong.
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
    """What there is to know of an index or alias, by one request; None where there is none.

    Asked once per command, and passed on. Raises IndexNameError, and IndexMissing where it is not one index of sorce's.
    """
    check_index_name(name)
    try:
        answer = client.indices.get(index=name, params={"flat_settings": "true"})
    except exceptions.NotFoundError:
        return None
    return FoundIndex.of(name, answer)


def look_up_all(client: OpenSearch, name: str) -> list[FoundIndex]:
    """As `look_up`, of an alias that may name several indices by mistake."""
    check_index_name(name)
    try:
        answer = client.indices.get(index=name, params={"flat_settings": "true"})
    except exceptions.NotFoundError:
        return []
    return [FoundIndex.of(name, {index: body}) for index, body in sorted(answer.items())]


def find_index(client: OpenSearch, name: str) -> FoundIndex:
    """As `look_up`. Raises IndexMissing where there is none."""
    found = look_up(client, name)
    if found is None:
        raise IndexMissing(f"there is no index '{name}'; make it with `sorce ingest --index {name} PHOTOS`.")
    return found


def resolved(client: OpenSearch, index: str) -> tuple[str, Recipe]:
    """The index that a name or alias stands for now, and its recipe, both of one moment. Raises IndexMissing."""
    found = find_index(client, index)
    return found.name, found.recipe


def recipe_of(client: OpenSearch, index: str) -> Recipe:
    """The recipe of an index or alias. Raises IndexMissing."""
    return find_index(client, index).recipe


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turns what the client library raises into a ClusterError of one sentence."""
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
    """Why one side does not trust the other's certificate; None where the connection failed for another reason."""
    said = str(error.info)
    meaning = next((meaning for sign, meaning in UNTRUSTED.items() if sign in said), None)
    if meaning is None and REFUSED.search(said):
        return "it refuses this client's certificate; check OPENSEARCH_CLIENT_CERT"
    return said if meaning is None and UNVERIFIED in said else meaning


def reason(error: exceptions.TransportError, otherwise: str = "no reason is given") -> str:
    """The server's own words, without the JSON around them; an answer to HEAD has none."""
    info: Any = error.info
    try:
        causes = info["error"]["root_cause"] or [info["error"]]
        return str(causes[0]["reason"]).rstrip(".")
    except (KeyError, TypeError, IndexError):
        return str(error.error).rstrip(".") or otherwise


def address(client: OpenSearch) -> str:
    """For messages: where the client looks for the cluster."""
    host = client.transport.hosts[0]
    scheme = "https" if host.get("use_ssl") else "http"
    return f"{scheme}://{host.get('host', 'localhost')}:{host.get('port', 9200)}"
