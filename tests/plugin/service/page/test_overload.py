"""Too much at once: refused with a time after which to ask again; the same picture is made once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import httpx
import pytest
from opensearchpy import OpenSearch

from sorce.mappings import Located, LocateRequest
from sorce.plugin.service.page import serving
from sorce.plugin.service.page.pictures import PhotoPictures
from sorce.plugin.service.page.settings import PageSettings
from sorce.plugin.service.page.workers import Once, Unwanted, Workers
from sorce.plugin.service.requests import Refused
from tests.kit.album import Album, served_page
from tests.kit.localiser import FakeLocaliser


def test_a_full_queue_is_refused_for_a_second(
    cluster: OpenSearch, album: Album, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_SEARCHES", 0)
    with served_page(cluster, album, PageSettings([album.root], cache=cache)) as page:
        answers = [page.post("/api/search", json={"phrases": ["red"]}), page.get("/thumb/x"), page.get("/api/indices")]
    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_what_waits_is_counted_and_what_is_done_no_longer() -> None:
    go = Event()

    async def several() -> list[object]:
        workers = Workers("tests", 1, 2)
        both = [asyncio.create_task(workers.run(go.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="too many tests wait already"):
            await workers.run(go.wait)
        go.set()
        found = [*await asyncio.gather(*both), await workers.run(go.wait)]
        workers.close()
        return found

    assert asyncio.run(several()) == [True, True, True]


def test_the_same_work_is_done_once_for_all_who_ask() -> None:
    calls = []

    async def several() -> list[int]:
        once, go = Once(), asyncio.Event()

        async def work() -> int:
            calls.append(1)
            await go.wait()
            return len(calls)

        asked = [asyncio.create_task(once.get("a", work)) for _ in range(3)]
        await asyncio.sleep(0)
        # One who leaves does not end it for the others.
        asked.pop().cancel()
        await asyncio.sleep(0)
        go.set()
        return [*await asyncio.gather(*asked), await once.get("a", work)]

    assert asyncio.run(several()) == [1, 1, 2]


def test_who_asks_in_the_very_moment_when_the_work_is_given_up_gets_it_all_the_same() -> None:
    async def several() -> int:
        once, go = Once(), asyncio.Event()

        async def given_up() -> int:
            await go.wait()
            # This task is done before the event loop hears of it.
            asked.append(asyncio.create_task(once.get("a", work)))
            raise Unwanted

        async def work() -> int:
            return 2

        asked = [asyncio.create_task(once.get("a", given_up))]
        await asyncio.sleep(0)
        asked[0].cancel()
        go.set()
        await asyncio.wait(asked)
        return await asyncio.wait_for(asked[1], 60)

    assert asyncio.run(several()) == 2


def test_work_that_nobody_waits_for_any_more_is_not_begun() -> None:
    go, calls = Event(), list[int]()

    async def several() -> list[int]:
        workers, once = Workers("tests", 1, 9), Once()

        def ask(number: int) -> asyncio.Task[None]:
            is_wanted = partial(once.is_wanted, str(number))
            work = partial(workers.run, partial(calls.append, number), is_wanted)
            return asyncio.create_task(once.get(str(number), work))

        busy = asyncio.create_task(workers.run(go.wait))
        left, kept = ask(1), [ask(2), ask(3), ask(3)]
        await asyncio.sleep(0)
        for leaving in (left, kept.pop()):
            leaving.cancel()
        await asyncio.wait([left])
        go.set()
        await asyncio.gather(busy, *kept)
        begun = list(calls)
        # Who comes later gets it all the same.
        await ask(1)
        workers.close()
        return begun

    assert asyncio.run(several()) == [2, 3]
    assert calls == [2, 3, 1]


class Held(FakeLocaliser):
    """Looks when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = Event(), Event()

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        self.begun.set()
        assert self.go.wait(60)
        return super().locate(requests, boxes, min_score)


def test_who_looks_at_photos_again_holds_up_no_other_search(
    cluster: OpenSearch, album: Album, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SEARCHING", 1)
    held, settings = Held(), PageSettings([album.root], cache=cache)
    with (
        served_page(cluster, album, settings, localisers={album.index: held}) as page,
        ThreadPoolExecutor(1) as other,
    ):
        try:
            slow = other.submit(page.post, "/api/search", json={"phrases": ["red"], "locate": 1}, timeout=60)
            assert held.begun.wait(60)
            assert page.post("/api/search", json={"phrases": ["red"]}).status_code == 200
            assert not slow.done()
        finally:
            held.go.set()
        assert slow.result().json()["hits"][0]["seen"]


def test_a_picture_is_not_made_for_a_browser_that_left(
    cluster: OpenSearch, album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = Event(), SimpleQueue[int]()
    monkeypatch.setattr(PhotoPictures, "made", lambda _, __, wanted: begun.put(wanted.side) or (go.wait() and b"made"))
    with served_page(cluster, album, PageSettings([album.root], cache=tmp_path)) as page, ThreadPoolExecutor() as users:
        address = f"/thumb/{album.photo('kitchen/1.png')}?w="
        threads = max(2, min(4, os.cpu_count() or 2))
        sizes = [64 * (1 + n) for n in range(threads)]
        busy = [users.submit(page.get, f"{address}{size}") for size in sizes]
        assert sorted(begun.get() for _ in busy) == sizes
        with pytest.raises(httpx.ReadTimeout):
            page.get(f"{address}448", timeout=0.2)
        counted = 'sorce_requests_total{code="400",route="/thumb/{photo_id:path}"} 1.0'
        while counted not in page.get("/metrics").text:
            pass
        go.set()
        assert [each.result().content for each in busy] == [b"made"] * threads
        assert page.get(f"{address}512").content == b"made"
    assert (begun.get(), begun.empty()) == (512, True)
