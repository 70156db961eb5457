"""Who may ask the page: its own origin, and with a key only those who know it; thumbnails also for allowed origins."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from opensearchpy import OpenSearch

from sorce.engine.certificates import Authority
from sorce.errors import PluginError
from sorce.plugin.service import app as service
from sorce.plugin.service.page.guard import POLICY
from sorce.plugin.service.page.session_routes import WrongKeys
from sorce.plugin.service.page.settings import PageSettings
from sorce.plugin.service.page.signing import thumbnail_query
from tests.kit.album import Album, served_page
from tests.plugin.service.page.conftest import DASHBOARDS, KEY

CROSS = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def test_every_answer_says_what_a_browser_may_do(page: httpx.Client, album: Album) -> None:
    assert POLICY == (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
    )
    photo = album.photo("kitchen/0.png")
    for path in ("/", "/static/index.html", "/api/session", f"/thumb/{photo}", f"/view/{photo}", "/thumb/nothing"):
        headers = page.get(path).headers
        assert headers["Content-Security-Policy"] == POLICY, path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["X-Request-Id"]
    assert page.get("/api/session").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        CROSS,
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
        {**LINK, "Sec-Fetch-Dest": "iframe"},
    ],
)
def test_a_page_of_another_origin_gets_nothing(page: httpx.Client, album: Album, headers: dict[str, str]) -> None:
    photo = album.photo("kitchen/0.png")
    for path in ("/api/session", "/api/indices", f"/view/{photo}", f"/thumb/{photo}", f"/api/photo/{photo}"):
        assert page.get(path, headers=headers).status_code == 403, path
    assert page.post("/api/search", json={"phrases": ["red"]}, headers=headers).status_code == 403


@pytest.mark.parametrize("headers", [{"Origin": "http://["}, {**CROSS, "Referer": "http://["}])
def test_an_origin_that_cannot_be_read_is_another_one(page: httpx.Client, headers: dict[str, str]) -> None:
    assert page.get("/thumb/nothing", headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1/static/?", "127.0.0.1/static/#", "127.0.0.1/api/session?"])
def test_the_host_of_a_request_is_no_path(locked: httpx.Client, host: str) -> None:
    assert locked.get("/api/indices", headers={"Host": host}).status_code == 401


def test_the_page_itself_and_links_to_it_are_answered(page: httpx.Client) -> None:
    own = str(page.base_url).rstrip("/")
    assert page.get("/api/session", headers={"Origin": own}).status_code == 200
    assert page.get("/api/session", headers={"Origin": own, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert page.get("/?q=red", headers=LINK).status_code == 200
    # A link is no way to the rest.
    assert page.get("/api/session", headers=LINK).status_code == 403


def test_without_a_key_it_answers_under_names_of_this_machine_only(page: httpx.Client) -> None:
    assert page.get("/api/session", headers={"Host": "evil.example:8100"}).status_code == 403
    assert page.get("/api/session", headers={"Host": "localhost:8100"}).status_code == 200
    assert page.get("/api/session", headers={"Host": "[::1]:8100"}).status_code == 200


def test_an_allowed_origin_gets_thumbnails_and_nothing_else(page: httpx.Client, album: Album) -> None:
    photo = album.photo("kitchen/0.png")
    for headers in ({"Origin": DASHBOARDS, **CROSS}, {"Referer": f"{DASHBOARDS}/app/dashboards", **CROSS}):
        answer = page.get(f"/thumb/{photo}?w=64", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == DASHBOARDS
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Vary"] == "Origin"
        for path in (f"/view/{photo}", "/api/indices"):
            assert page.get(path, headers=headers).status_code == 403
    assert page.get(f"/thumb/{photo}", headers={"Origin": f"{DASHBOARDS}.evil", **CROSS}).status_code == 403


def test_with_a_key_a_thumbnail_needs_a_signature_that_is_not_over(locked: httpx.Client, album: Album) -> None:
    now, photo = int(time.time()), album.photo("kitchen/0.png")
    headers = {"Origin": DASHBOARDS, **CROSS}

    def status(query: str, index: str = album.index, headers: dict[str, str] = headers) -> int:
        return locked.get(f"/thumb/{photo}?index={index}&{query}", headers=headers).status_code

    right = thumbnail_query(KEY, album.index, now + 60)
    assert status(right) == 200
    assert status(right, headers={}) == 200
    assert status("") == status("", headers={}) == 401
    assert status(thumbnail_query("other", album.index, now + 60)) == 401
    assert status(thumbnail_query(KEY, album.index, now - 1)) == 401
    assert status(right.replace(str(now + 60), str(now + 61))) == 401
    assert status(thumbnail_query(KEY, "other", now + 60)) == 401
    assert status(right, headers={"Origin": "https://evil.example", **CROSS}) == 403
    # It opens nothing else.
    assert locked.get(f"/view/{photo}?index={album.index}&{right}").status_code == 401


def test_the_key_opens_the_page(locked: httpx.Client, album: Album) -> None:
    photo = album.photo("kitchen/0.png")
    assert locked.get("/").status_code == 200
    assert locked.get("/api/session").json()["login"] is True
    for path in ("/api/indices", f"/thumb/{photo}", f"/view/{photo}", f"/api/photo/{photo}", f"/tiles/{photo}.json"):
        assert locked.get(path).status_code == 401, path
        assert locked.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200, path
    assert locked.post("/api/search", json={"phrases": ["red"]}).status_code == 401
    assert locked.post("/api/login", json={"key": "wrong"}).status_code == 401
    answer = locked.post("/api/login", json={"key": KEY})
    assert answer.status_code == 204
    [cookie] = SimpleCookie(answer.headers["Set-Cookie"]).values()
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/photos-app/")
    given = {"Cookie": f"{cookie.key}={cookie.value}"}
    assert locked.get("/api/session", headers=given).json()["login"] is False
    assert locked.get(f"/thumb/{photo}", headers=given).status_code == 200
    expires, _, signature = cookie.value.partition(".")
    forged = {"Cookie": f"{cookie.key}={int(expires) + 1}.{signature}"}
    assert locked.get("/api/indices", headers=forged).status_code == 401
    assert "sorce_session=" in locked.post("/api/logout").headers["Set-Cookie"]
    # The encoder asks for the key itself, as ever.
    assert locked.post("/v1/embeddings", json={"input": "red"}, headers=given).status_code == 401


def test_many_wrong_keys_are_too_many() -> None:
    wrong = WrongKeys()
    for _ in range(WrongKeys.MOST):
        wrong.refuse_many()
        wrong.add()
    with pytest.raises(service.Refused, match="too many wrong keys"):
        wrong.refuse_many()


def test_it_works_under_a_path_behind_a_proxy(locked: httpx.Client) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    for base in ("", "/photos-app"):
        assert locked.get(f"{base}/").status_code == 200
        assert locked.get(f"{base}/static/index.html").status_code == 200
        assert locked.get(f"{base}/api/indices", headers=key).status_code == 200
        assert locked.get(f"{base}/api/indices").status_code == 401
    moved = locked.get("/photos-app")
    assert (moved.status_code, moved.headers["Location"]) == (308, "/photos-app/")
    for given, path in (
        ("/other/app", "/other/app/"),
        ("//evil.example", "/photos-app/"),
        ("/a; Path=/", "/photos-app/"),
    ):
        answer = locked.post("/api/login", json={"key": KEY}, headers={"X-Forwarded-Prefix": given})
        assert f"Path={path};" in answer.headers["Set-Cookie"] + ";"


def test_over_tls_the_cookie_is_secure(cluster: OpenSearch, album: Album, cache: Path, tmp_path: Path) -> None:
    Authority().issue("127.0.0.1").write(tmp_path / "page.pem", tmp_path / "page.key")
    shown = service.Certificate(tmp_path / "page.pem", tmp_path / "page.key")
    with served_page(cluster, album, PageSettings(cache=cache), KEY, shown=shown) as page:
        assert page.base_url.scheme == "https"
        assert "; Secure" in page.post("/api/login", json={"key": KEY}).headers["Set-Cookie"]


def test_other_machines_need_a_key() -> None:
    with pytest.raises(PluginError, match="can be reached from other machines"):
        service.listen("0.0.0.0", 0, None)


@pytest.mark.parametrize(
    "given", ["dashboards.example", "ftp://x", "https://x/path", "https://user@x", "https://x:port"]
)
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(PluginError, match="is not an origin"):
        PageSettings(allow_origins=[given])


def test_origins_are_compared_as_browsers_write_them() -> None:
    assert PageSettings(allow_origins=["HTTPS://Dashboards.example:443/"]).allow_origins == (
        "https://dashboards.example",
    )
    for given in ("photos", "/a b", "/../x", "/a//b"):
        with pytest.raises(PluginError, match="--base-path"):
            PageSettings(base_path=given)
