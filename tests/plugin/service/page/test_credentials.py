"""With --pass-credentials the cluster is asked as the caller: its document-level security holds for pictures, too."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from opensearchpy import OpenSearch
from roles import owner, put

from sorce.access import Access
from sorce.cluster import connect
from sorce.engine import Node
from sorce.plugin.cluster.role import role
from sorce.plugin.service.page.settings import PageSettings
from tests.kit.album import Album, fill, served_page
from tests.kit.chromium import browser_marks, chromium

SECURITY = "/_plugins/_security/api"


@pytest.fixture(scope="module")
def administrator(secured: Node) -> Iterator[OpenSearch]:
    with connect(secured.url, owner(secured)) as client:
        yield client


@pytest.fixture(scope="module")
def safe(administrator: OpenSearch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Album]:
    index = f"test-dls-{uuid.uuid4().hex[:8]}"
    yield fill(administrator, index, tmp_path_factory.mktemp("safe"))
    administrator.indices.delete(index=index)


@pytest.fixture(scope="module")
def users(administrator: OpenSearch, safe: Album) -> Iterator[dict[str, tuple[str, str]]]:
    """Who sees all photos, who sees those of one shop, and who sees none."""
    found = {}
    for name, query in (("all", None), ("north", '{"term": {"attributes.shop": "north"}}'), ("none", None)):
        user, password = f"{safe.index}-{name}", secrets.token_urlsafe(24)
        body = role("search", safe.index if name != "none" else "other")
        if query is not None:
            body["index_permissions"][0]["dls"] = query
        put(administrator, f"roles/{user}", body)
        put(administrator, f"internalusers/{user}", {"password": password, "opendistro_security_roles": [user]})
        found[name] = (user, password)
    yield found
    for user, _ in found.values():
        for kind in ("internalusers", "roles"):
            administrator.transport.perform_request("DELETE", f"{SECURITY}/{kind}/{user}")


@pytest.fixture(scope="module")
def passing(secured: Node, administrator: OpenSearch, safe: Album, cache: Path) -> Iterator[httpx.Client]:
    own = owner(secured)

    def as_user(who: Access) -> OpenSearch:
        return connect(secured.url, replace(who, ca_file=own.ca_file))

    settings = PageSettings([safe.root], pass_credentials=True, cache=cache)
    with served_page(administrator, safe, settings, connect=as_user) as page:
        yield page


def test_each_sees_what_the_cluster_lets_this_user_see(
    passing: httpx.Client, users: dict[str, tuple[str, str]], safe: Album
) -> None:
    seen = {}
    for name in ("all", "north"):
        answer = passing.post("/api/search", json={"phrases": ["red"]}, auth=users[name])
        assert answer.status_code == 200, answer.text
        seen[name] = answer.json()
    assert (seen["all"]["photos"], seen["north"]["photos"]) == (17, 4)
    assert {hit["attributes"]["shop"] for hit in seen["north"]["hits"]} == {"north"}
    refused = passing.post("/api/search", json={"phrases": ["red"]}, auth=users["none"])
    assert refused.status_code == 403
    assert passing.get("/api/indices", auth=users["none"]).json() == {"indices": []}
    [index] = passing.get("/api/indices", auth=users["north"]).json()["indices"]
    assert [value for each in index["fields"] if each["name"] == "folder" for value in each["values"]] == [
        ["kitchen", 4]
    ]
    assert index["name"] == safe.index


@pytest.mark.parametrize("kind", ["thumb", "view", "crop", "tiles", "api/photo"])
def test_a_picture_is_given_only_to_who_finds_the_photo(
    passing: httpx.Client, users: dict[str, tuple[str, str]], safe: Album, kind: str
) -> None:
    more = {"crop": "?box=0,0,9,9", "tiles": "/6/0_0", "thumb": "?v=1"}.get(kind, "")
    other, own = (f"/{kind}/{safe.photo(name)}{more}" for name in ("hall/3.png", "kitchen/1.png"))
    # First who may: then the picture is on the disk.
    given = passing.get(other, auth=users["all"])
    assert given.status_code == 200
    assert passing.get(other, auth=users["north"]).status_code == 404
    etag = {"If-None-Match": given.headers.get("ETag", "x")}
    assert passing.get(other, auth=users["north"], headers=etag).status_code == 404
    assert passing.get(own, auth=users["north"]).status_code == 200
    if kind != "api/photo":
        assert given.headers["Cache-Control"] == "private, no-cache"


def test_a_box_of_a_photo_that_is_not_found_is_no_example(
    passing: httpx.Client, users: dict[str, tuple[str, str]], safe: Album
) -> None:
    body = {"like": [{"photo_id": safe.photo("hall/3.png"), "box": [0, 0, 9, 9]}]}
    assert passing.post("/api/search", json=body, auth=users["all"]).status_code == 200
    assert passing.post("/api/search", json=body, auth=users["north"]).status_code == 404
    body = {"phrases": ["red"], "photo_ids": [safe.photo("hall/3.png")]}
    found = {name: passing.post("/api/search", json=body, auth=users[name]).json()["hits"] for name in ("all", "north")}
    assert (len(found["all"]), found["north"]) == (1, [])


def test_a_file_holds_only_photos_that_the_caller_finds(
    passing: httpx.Client, users: dict[str, tuple[str, str]], safe: Album
) -> None:
    ids = [safe.photo(name) for name in ("hall/3.png", "kitchen/1.png")]
    for form, request in (("csv", ids), ("zip", ids), ("json", None)):
        body = {"format": form, "request": {"phrases": ["red"]}, "photo_ids": request}
        texts = {}
        for name in ("all", "north"):
            answer = passing.post("/api/export", json=body, auth=users[name])
            assert answer.status_code == 200, answer.text
            texts[name] = answer.content
        # In a ZIP, names and the list of hits are not packed.
        assert b"3.png" in texts["all"]
        assert b"3.png" not in texts["north"]
        assert b"1.png" in texts["north"]
    marks = [{"photo_id": ids[0], "box": [0, 0, 9, 9], "phrase": "red", "right": True}]
    body = {"format": "lines", "request": {"phrases": ["red"]}, "photo_ids": [], "marks": marks}
    assert passing.post("/api/export", json=body, auth=users["north"]).status_code == 422


def test_a_browser_is_asked_for_the_cluster_s_user(passing: httpx.Client, users: dict[str, tuple[str, str]]) -> None:
    assert passing.get("/api/session").json()["login"] is False
    user, _ = users["all"]
    for headers in ({}, {"Authorization": "Basic ???"}, {"Authorization": "Digest x"}):
        for answer in (passing.get("/api/indices", headers=headers), passing.post("/api/like", headers=headers)):
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert passing.get("/api/indices", auth=(user, "wrong")).status_code == 401
    for token in (b"wrong", b"\xff", b"two words\xe4"):
        assert passing.get("/api/indices", headers={"Authorization": b"Bearer " + token}).status_code == 401


@pytest.mark.parametrize(
    ("name", "photos"),
    [pytest.param("all", 17, marks=browser_marks()), pytest.param("north", 4, marks=browser_marks())],
)
def test_a_browser_shows_each_what_this_user_may_see(
    passing: httpx.Client, users: dict[str, tuple[str, str]], safe: Album, name: str, photos: int
) -> None:
    user, password = users[name]
    with chromium() as started:
        page = started.new_context(http_credentials={"username": user, "password": password}).new_page()
        # A photo that only one of them may see.
        page.goto(f"{passing.base_url}?q=red&fold=off&photo={safe.photo('hall/3.png')}")
        if name == "all":
            page.wait_for_selector("#stage .box")
            page.wait_for_function("() => document.querySelector('#stage .view').naturalWidth > 0")
            page.keyboard.press("Escape")
        else:
            page.wait_for_selector(".toast.error >> text=finds no photo")
        page.wait_for_selector(".picture.loaded")
        assert page.locator(".tile").count() == photos
