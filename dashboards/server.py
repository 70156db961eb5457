"""Requests to OpenSearch Dashboards. Who asks comes from the environment, as for a cluster (`sorce.access`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import urllib3

from sorce.access import Access
from sorce.dashboards.objects import TYPES
from sorce.errors import DashboardsError

Json = dict[str, Any]
Key = tuple[str, str]
"""The type and the id of a saved object."""

URL_VARIABLE = "OPENSEARCH_DASHBOARDS_URL"
DEFAULT_URL = "http://127.0.0.1:5601"
SECONDS = 60
"""How long Dashboards may say nothing."""

ANSWER_SECONDS, MAX_BYTES = 300, 64 * 2**20
"""How long an answer may take, and how large it may be."""

PER_PAGE = 1000

FILE = "sorce.ndjson"
"""The import refuses a file whose name does not end so."""


SIGN_IN = re.compile(r"login|sign-?in|auth|saml|sso", re.IGNORECASE)
"""In an address that Dashboards, or a proxy before it, sends to: it wants to know who asks."""

NOT_IN_A_URL = re.compile(r"[\s\x00-\x20\x7f\"<>\\^`{|}]")
"""Characters that no URL holds. A saved object would take braces for a template, and a browser drops line breaks."""

EXTERNAL_URLS = re.compile(r'"enableExternalUrls"\s*:\s*(true|false)')
"""The setting of Vega, among what the start page tells the browser."""


@dataclass(frozen=True)
class Received:
    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class StartPage:
    """What a browser is told: the `content-security-policy`, and whether Vega loads pictures (None: not said)."""

    policy: str | None
    external_urls: bool | None


class Dashboards:
    """OpenSearch Dashboards at an address, in one tenant if it has tenants.

    Every method raises DashboardsError if it does not answer or refuses.
    """

    def __init__(self, url: str | None, access: Access, tenant: str | None = None) -> None:
        self.url = checked_url(url or os.environ.get(URL_VARIABLE) or DEFAULT_URL, "--dashboards-url")
        given = access.arguments(self.url)
        self._sign = given.get("http_auth")
        self._headers = {"osd-xsrf": "true", **given.get("headers", {})}
        if tenant is not None:
            self._headers["securitytenant"] = _checked_tenant(tenant)
        more = {} if "ssl_context" not in given else {"ssl_context": given["ssl_context"]}
        self._pool = urllib3.PoolManager(retries=False, timeout=SECONDS, **more)

    def __enter__(self) -> Dashboards:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def start_page(self) -> StartPage:
        answer = self._ask("GET", "/app/home")
        said = EXTERNAL_URLS.search(unescape(answer.content.decode(errors="replace")))
        external = None if said is None else said[1] == "true"
        return StartPage(answer.headers.get("content-security-policy"), external)

    def get(self, key: Key) -> Json | None:
        """A saved object; None if there is none."""
        answer = self._ask("GET", _path(key), ok=(200, 404))
        if answer.status == 404:
            return None
        found = self._json(answer)
        references = found.get("references", [])
        if not (isinstance(found.get("attributes"), dict) and _are_objects(references)):
            raise self._no_dashboards()
        return found

    def delete(self, key: Key) -> None:
        """An object that is not there is no error."""
        self._ask("DELETE", _path(key), ok=(200, 404))

    def find(self) -> Iterator[Key]:
        """Type and id of all objects of the types that sorce makes."""
        for kind in TYPES:
            page, seen, total = 1, 0, 1
            while seen < total:
                query = f"type={kind}&fields=title&per_page={PER_PAGE}&page={page}"
                answer = self._json(self._ask("GET", f"/api/saved_objects/_find?{query}"))
                try:
                    objects, total = list(answer["saved_objects"]), int(answer["total"])
                    found = [(str(each["type"]), str(each["id"])) for each in objects]
                except (LookupError, TypeError, ValueError) as error:
                    raise self._no_dashboards() from error
                yield from found
                # An empty page would otherwise be asked for again and again.
                page, seen = page + 1, seen + len(objects) if objects else total

    def import_objects(self, ndjson: bytes) -> Json:
        """The answer to an import that overwrites. It may claim success for what was not written (OSD 12657)."""
        boundary = f"sorce-{os.urandom(16).hex()}"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{FILE}"\r\n'
            "Content-Type: application/ndjson\r\n\r\n"
        )
        body = head.encode() + ndjson + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        found = self._json(self._ask("POST", "/api/saved_objects/_import?overwrite=true", body=body, more=kind))
        if not (isinstance(found.get("success"), bool) and _are_objects(found.get("errors") or [])):
            raise self._no_dashboards()
        return found

    def _ask(
        self,
        method: str,
        path: str,
        ok: tuple[int, ...] = (200,),
        body: bytes | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Received:
        url = f"{self.url}{path}"
        headers = {**self._headers, **(more or {})}
        if self._sign is not None:
            headers |= self._sign(method, url, body, headers)
        try:
            answer = self._read(
                self._pool.request(method, url, body=body, headers=headers, redirect=False, preload_content=False)
            )
        except urllib3.exceptions.SSLError as error:
            raise DashboardsError(
                f"OpenSearch Dashboards at {self.url} is not trusted ({error}); name its authority in "
                "OPENSEARCH_CA_FILE."
            ) from error
        except urllib3.exceptions.ReadTimeoutError as error:
            raise DashboardsError(
                f"OpenSearch Dashboards at {self.url} said nothing for {SECONDS} seconds; try again when it is idle."
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise DashboardsError(
                f"no OpenSearch Dashboards answers at {self.url}; give --dashboards-url or {URL_VARIABLE}."
            ) from error
        if answer.status not in ok:
            raise DashboardsError(self._refusal(answer))
        return answer

    def _read(self, answer: urllib3.BaseHTTPResponse) -> Received:
        """All of it, but not without end."""
        end, found = monotonic() + ANSWER_SECONDS, bytearray()
        try:
            while part := answer.read1(2**16):
                found += part
                if len(found) > MAX_BYTES or monotonic() > end:
                    raise DashboardsError(
                        f"the answer of {self.url} does not end: it is longer than {MAX_BYTES >> 20} MiB or takes "
                        f"longer than {ANSWER_SECONDS} seconds; correct --dashboards-url."
                    )
        finally:
            answer.close()
        return Received(answer.status, answer.headers, bytes(found))

    def _refusal(self, answer: Received) -> str:
        there = answer.headers.get("location", "")
        if answer.status == 401 or (300 <= answer.status < 400 and SIGN_IN.search(there)):
            return (
                f"OpenSearch Dashboards at {self.url} does not know who asks ({answer.status}); set "
                "OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD_FILE, or correct them."
            )
        if 300 <= answer.status < 400:
            return (
                f"{self.url} sends to another address ({answer.status}); give that of Dashboards in --dashboards-url."
            )
        if answer.status == 403:
            return (
                f"this user may not do that in OpenSearch Dashboards at {self.url} (403); give the user a role that "
                "may write in this tenant, such as kibana_user."
            )
        if answer.status == 413:
            return (
                f"OpenSearch Dashboards at {self.url}, or a proxy before it, takes no file of this size (413); raise "
                "savedObjects.maxImportPayloadBytes in opensearch_dashboards.yml, or the proxy's limit."
            )
        try:
            said = str(orjson.loads(answer.content)["message"])
        except (ValueError, LookupError, TypeError):
            said = "it gives no reason; see its log"
        return f"OpenSearch Dashboards at {self.url} refused ({answer.status}): {said[:500]}"

    def _json(self, answer: Received) -> Json:
        try:
            found = orjson.loads(answer.content)
        except ValueError as error:
            raise self._no_dashboards() from error
        if not isinstance(found, dict):
            raise self._no_dashboards()
        return found

    def _no_dashboards(self) -> DashboardsError:
        return DashboardsError(f"what answers at {self.url} is no OpenSearch Dashboards; correct --dashboards-url.")


def checked_url(url: str, option: str) -> str:
    """The address without a slash at the end. Raises DashboardsError; a URL with a password is not quoted."""
    if "@" in url:
        raise DashboardsError(f"the URL of {option} holds a user or a password, for all to read; leave them out.")
    if found := NOT_IN_A_URL.search(url):
        raise DashboardsError(f"{url!r} of {option} holds {found[0]!r}, which no URL holds; correct it.")
    given = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(given)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or parts.query or parts.fragment:
        raise DashboardsError(f"'{url}' of {option} is not understood; write https://host:port or https://host/path.")
    return given.rstrip("/")


def _checked_tenant(name: str) -> str:
    if not (name.isascii() and name.isprintable()):
        raise DashboardsError(f"the tenant {name!r} cannot be named in a request; choose one with a name in ASCII.")
    return name


def _path(key: Key) -> str:
    return f"/api/saved_objects/{key[0]}/{quote(key[1], safe='')}"


def _are_objects(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(each, dict) for each in found)
