"""The login: a form sends the service's key, and gets a cookie that only this service can have made."""

from __future__ import annotations

import hmac
import time
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from sorce.plugin.service.locate_requests import parsed
from sorce.plugin.service.page.settings import PageSettings, is_prefix
from sorce.plugin.service.page.signing import is_valid, sign
from sorce.plugin.service.requests import Bodies, Refused

COOKIE = "sorce_session"
SESSION = "session"
SESSION_SECONDS = 12 * 3600


class WrongKeys:
    """Counts wrong keys, so that nobody can try many: at most `MOST` in each `SECONDS`, for all callers together."""

    MOST, SECONDS = 20, 60

    def __init__(self) -> None:
        self._since, self._count = 0.0, 0

    def refuse_many(self) -> None:
        """Raises Refused."""
        if time.monotonic() - self._since > self.SECONDS:
            self._since, self._count = time.monotonic(), 0
        if self._count >= self.MOST:
            raise Refused(429, f"too many wrong keys; try again in {self.SECONDS} seconds.")

    def add(self) -> None:
        self._count += 1


class LoginBody(BaseModel):
    """The body of `POST /api/login`."""

    key: str


def has_session(request: Request, key: str) -> bool:
    expires, _, signature = request.cookies.get(COOKIE, "").partition(".")
    return is_valid(key, SESSION, expires, signature)


def prefix_of(request: Request, settings: PageSettings) -> str:
    """The path before the page's own, as the browser sees it: without a slash at the end."""
    given = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
    return given if is_prefix(given) else settings.base_path


def add_session(app: FastAPI, settings: PageSettings, key: str | None, bodies: Bodies, locates: bool) -> None:
    """`locates` says that the service looks at photos again."""
    wrong = WrongKeys()

    @app.get("/api/session", include_in_schema=False)
    async def session(request: Request) -> dict[str, object]:
        needed = key is not None and not settings.pass_credentials
        return {
            "login": needed and not has_session(request, key or ""),
            "version": version("sorce"),
            "pictures": bool(settings.roots),
            "locate": locates,
            "show_paths": settings.show_paths,
        }

    @app.post("/api/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        wrong.refuse_many()
        given = parsed(LoginBody, await bodies.read(request)).key
        if key is None:
            raise Refused(422, "this service needs no key.")
        if not hmac.compare_digest(given.encode(errors="replace"), key.encode()):
            wrong.add()
            raise Refused(401, "this is not the service's key.")
        expires = int(time.time()) + SESSION_SECONDS
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            f"{expires}.{sign(key, SESSION, expires)}",
            max_age=SESSION_SECONDS,
            path=f"{prefix_of(request, settings)}/",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    @app.post("/api/logout", include_in_schema=False)
    async def logout(request: Request) -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path=f"{prefix_of(request, settings)}/", httponly=True, samesite="strict")
        return answer
