"""Too much at once: refused with a time after which to ask again; the same picture is made once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import pytest
from opensearchpy import OpenSearch

from sorce.plugin.service.page import serving
from sorce.plugin.service.page.settings import PageSettings
from sorce.plugin.service.page.workers import Once, Room, Workers
from sorce.plugin.service.requests import Refused
from tests.kit.album import Album, served_page


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


def test_more_than_there_is_room_for_is_taken_alone() -> None:
    room = Room(10)
    with room.take(6), room.take(4):
        pass
    with room.take(1000):
        pass
    with room.take(10):
        pass
