"""What every request to the page passes first, and what every answer carries.

A page of another origin gets nothing, except thumbnails for origins that the operator allows. Where a key is set, a
request needs the cookie of the login, or the key as a bearer token. The service of encoders has its own check.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sorce.access import is_loopback
from sorce.plugin.service import answers
from sorce.plugin.service.page.session_routes import has_session
from sorce.plugin.service.page.settings import PageSettings
from sorce.plugin.service.page.signing import is_valid, thumbnails_of
from sorce.plugin.service.requests import Refused, has_key

POLICY = "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'"

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer, unless it sets them itself."""

THUMBNAIL = "/thumb/"
_BELOW = ("/static/", "/api/", THUMBNAIL, "/view/", "/crop/", "/tiles/")
_OPEN = ("/static/", "/api/session", "/api/login", "/api/logout")
"""What the form that asks for the key needs."""


class BasePath:
    """ASGI middleware: the service answers below the base path, too. The page's own addresses are relative."""

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        self._app, self._base = app, base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = str(scope["path"])
            if self._base and path == self._base:
                moved = {"Location": f"{self._base}/"}
                await answers.error(308, "the page is at the same address with a slash.", moved)(scope, receive, send)
                return
            if self._base and path.startswith(f"{self._base}/"):
                scope = {**scope, "path": path[len(self._base) :], "raw_path": None}
        await self._app(scope, receive, send)


class PageGuard:
    """ASGI middleware, for the page's addresses only. `key` is the service's, if it has one."""

    def __init__(self, app: ASGIApp, settings: PageSettings, key: str | None, default_index: str) -> None:
        self._app, self._settings, self._key, self._index = app, settings, key, default_index

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_of_page(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        shared: Mapping[str, str] = {}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.update(shared)
            await send(message)

        try:
            shared = self._admitted(request)
        except Refused as refused:
            await answers.error(refused.status, str(refused))(scope, receive, answer)
            return
        await self._app(scope, receive, answer)

    def _admitted(self, request: Request) -> Mapping[str, str]:
        """The headers for a page of another origin; none for the page itself. Raises Refused."""
        if self._key is None:
            _refuse_other_hosts(request)
        if not is_foreign(request):
            if not self._is_known(request):
                raise Refused(401, "this needs the service's key: log in, or send it as a bearer token.")
            return {}
        shown = self._shown_to(request)
        if shown is None:
            raise Refused(
                403,
                "a page of another origin may not ask this service; its own page, behind a proxy without TLS, may if "
                "the proxy passes the browser's Host on.",
            )
        return shown

    def _is_known(self, request: Request) -> bool:
        # With pass_credentials the cluster decides, by the credentials in the same header.
        if self._key is None or self._settings.pass_credentials:
            return True
        if _path(request) == "/" or _path(request).startswith(_OPEN):
            return True
        return has_session(request, self._key) or has_key(request, self._key) or self._is_signed(request, self._key)

    def _shown_to(self, request: Request) -> Mapping[str, str] | None:
        """The headers by which another origin may show a thumbnail; None if it may not."""
        if request.method != "GET" or not _path(request).startswith(THUMBNAIL):
            return None
        origin = origin_of(request)
        if origin not in self._settings.allow_origins:
            return None
        if self._key is not None and not self._is_signed(request, self._key):
            raise Refused(401, "the address of this thumbnail has no valid signature, or its time is over.")
        return {
            "Access-Control-Allow-Origin": origin,
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Origin",
        }

    def _is_signed(self, request: Request, key: str) -> bool:
        if not _path(request).startswith(THUMBNAIL):
            return False
        asked = request.query_params
        what = thumbnails_of(asked.get("index", self._index))
        return is_valid(key, what, asked.get("expires", ""), asked.get("sig", ""))


def is_of_page(path: str) -> bool:
    return path == "/" or path.startswith(_BELOW)


def is_foreign(request: Request) -> bool:
    """Whether a page of another origin asks. A link to the page from elsewhere is no such request."""
    headers = request.headers
    # A browser writes it and no page can; older ones, and those without TLS, only write Origin.
    site = headers.get("Sec-Fetch-Site")
    if site in ("same-origin", "none"):
        return False
    if site is not None:
        is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        return not (is_link and request.method == "GET" and _path(request) == "/")
    origin = headers.get("Origin")
    return origin is not None and _split(origin).netloc.lower() != headers.get("Host", "").lower()


def origin_of(request: Request) -> str:
    """The origin of the page that asks; an image without CORS only has a referrer."""
    origin = request.headers.get("Origin")
    if origin is None:
        parts = _split(request.headers.get("Referer", ""))
        origin = f"{parts.scheme}://{parts.netloc}"
    return origin.lower()


def _refuse_other_hosts(request: Request) -> None:
    """Without a key, a foreign page could give its own name this machine's address (DNS rebinding), and read all."""
    if not is_loopback(_split(f"//{request.headers.get('Host', '')}").hostname or ""):
        raise Refused(
            403,
            "without a key this service answers under the names of this machine only, such as 127.0.0.1; set "
            "SORCE_API_KEY, or have the proxy send the service's own Host.",
        )


def _path(request: Request) -> str:
    """The path that is routed. `request.url` is put together with `Host`, which a caller may fill with anything."""
    return str(request.scope["path"])


def _split(address: str) -> SplitResult:
    """Its parts; none of an address that cannot be read."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")
