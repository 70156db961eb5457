"""Requests to OpenSearch Dashboards. Who asks comes from the environment, as for a cluster (`sorce.access`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
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
PER_PAGE = 1000

FILE = "sorce.ndjson"
"""The import refuses a file whose name does not end so."""


EXTERNAL_URLS = re.compile(r'"enableExternalUrls"\s*:\s*(true|false)')
"""The setting of Vega, among what the start page tells the browser."""


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
            self._headers["securitytenant"] = tenant
        more = {} if "ssl_context" not in given else {"ssl_context": given["ssl_context"]}
        self._pool = urllib3.PoolManager(retries=False, timeout=SECONDS, **more)

    def __enter__(self) -> Dashboards:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def start_page(self) -> StartPage:
        answer = self._ask("GET", "/app/home")
        said = EXTERNAL_URLS.search(unescape(answer.data.decode(errors="replace")))
        external = None if said is None else said[1] == "true"
        return StartPage(answer.headers.get("content-security-policy"), external)

    def get(self, key: Key) -> Json | None:
        """A saved object; None if there is none."""
        answer = self._ask("GET", _path(key), ok=(200, 404))
        return None if answer.status == 404 else _json(answer, self.url)

    def delete(self, key: Key) -> None:
        """An object that is not there is no error."""
        self._ask("DELETE", _path(key), ok=(200, 404))

    def find(self) -> Iterator[Key]:
        """Type and id of all objects of the types that sorce makes."""
        for kind in TYPES:
            page, seen, total = 1, 0, 1
            while seen < total:
                query = f"type={kind}&fields=title&per_page={PER_PAGE}&page={page}"
                answer = _json(self._ask("GET", f"/api/saved_objects/_find?{query}"), self.url)
                objects, total = answer["saved_objects"], answer["total"]
                yield from ((each["type"], each["id"]) for each in objects)
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
        return _json(self._ask("POST", "/api/saved_objects/_import?overwrite=true", body=body, more=kind), self.url)

    def _ask(
        self,
        method: str,
        path: str,
        ok: tuple[int, ...] = (200,),
        body: bytes | None = None,
        more: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        url = f"{self.url}{path}"
        headers = {**self._headers, **(more or {})}
        if self._sign is not None:
            headers |= self._sign(method, url, body, headers)
        try:
            answer = self._pool.request(method, url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.SSLError as error:
            raise DashboardsError(
                f"OpenSearch Dashboards at {self.url} is not trusted ({error}); name its authority in "
                "OPENSEARCH_CA_FILE."
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise DashboardsError(
                f"no OpenSearch Dashboards answers at {self.url}; give --dashboards-url or {URL_VARIABLE}."
            ) from error
        if answer.status not in ok:
            raise DashboardsError(self._refusal(answer))
        return answer

    def _refusal(self, answer: urllib3.BaseHTTPResponse) -> str:
        if answer.status in (401, 302):
            return (
                f"OpenSearch Dashboards at {self.url} does not know who asks ({answer.status}); set "
                "OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD_FILE, or correct them."
            )
        if answer.status == 403:
            return (
                f"this user may not do that in OpenSearch Dashboards at {self.url} (403); give the user a role that "
                "may write in this tenant, such as kibana_user."
            )
        try:
            said = str(orjson.loads(answer.data)["message"])
        except (ValueError, LookupError, TypeError):
            said = answer.data[:200].decode(errors="replace")
        return f"OpenSearch Dashboards at {self.url} refused ({answer.status}): {said}"


def checked_url(url: str, option: str) -> str:
    """The address without a slash at the end. Raises DashboardsError; a URL with a password is not quoted."""
    if "@" in url:
        raise DashboardsError(f"the URL of {option} holds a user or a password, for all to read; leave them out.")
    given = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(given)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong or parts.query or parts.fragment:
        raise DashboardsError(f"'{url}' of {option} is not understood; write https://host:port or https://host/path.")
    return given.rstrip("/")


def _path(key: Key) -> str:
    return f"/api/saved_objects/{key[0]}/{quote(key[1], safe='')}"


def _json(answer: urllib3.BaseHTTPResponse, url: str) -> Json:
    try:
        found = orjson.loads(answer.data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DashboardsError(f"what answers at {url} is no OpenSearch Dashboards; correct --dashboards-url.")
    return found
