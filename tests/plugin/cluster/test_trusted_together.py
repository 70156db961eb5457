"""The trusted list keeps every entry, even when several change it at the same moment."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.plugin.cluster.allow_list import PRIVATE, TRUSTED, AllowList
from sorce.plugin.cluster.record import MADE_BY, Record, parse_record
from tests.kit.installer import Installer
from tests.kit.place import Place


def trusted(client: OpenSearch) -> list[str]:
    return AllowList(client).trusted


@pytest.fixture
def two(client: OpenSearch, place: Place) -> Iterator[tuple[Installer, Installer]]:
    with connect(place.url, place.access) as other:
        installers = Installer(client), Installer(other)
        yield installers
        for each in installers:
            each.uninstall()


@contextmanager
def meanwhile(
    monkeypatch: pytest.MonkeyPatch, client: OpenSearch, before: Callable[[], object], after: Callable[[], object]
) -> Iterator[None]:
    """Something happens right before and right after the client's first change of the settings."""
    put, done = client.cluster.put_settings, False

    def put_settings(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        if done:
            return put(*args, **kwargs)
        done = True
        before()
        answer = put(*args, **kwargs)
        after()
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(client.cluster, "put_settings", put_settings)
        yield
    assert done


def nothing() -> None:
    """Nobody interferes."""


@pytest.mark.fault("10.6.1")
def test_an_install_between_another_s_read_and_write_keeps_its_entry(
    monkeypatch: pytest.MonkeyPatch, client: OpenSearch, two: tuple[Installer, Installer]
) -> None:
    one, other = two
    with meanwhile(monkeypatch, client, before=other.install, after=nothing):
        one.install()
    assert {one.endpoint.pattern, other.endpoint.pattern} <= set(trusted(client))


@pytest.mark.fault("10.s.1")
def test_an_install_between_another_s_uninstall_s_read_and_write_keeps_its_entry(
    monkeypatch: pytest.MonkeyPatch, client: OpenSearch, two: tuple[Installer, Installer]
) -> None:
    one, other = two
    one.install()
    mine = one.endpoint.pattern
    with meanwhile(monkeypatch, client, before=other.install, after=nothing):
        one.uninstall()
    assert other.endpoint.pattern in trusted(client)
    assert mine not in trusted(client)


@pytest.mark.fault("10.6.2")
def test_an_administrator_who_writes_what_was_read_before_loses_no_entry_for_us(
    monkeypatch: pytest.MonkeyPatch, client: OpenSearch, two: tuple[Installer, Installer]
) -> None:
    one, by_hand = two[0], f"^https://by-hand/{uuid.uuid4().hex}$"
    there = trusted(client)

    def write_back() -> None:
        client.cluster.put_settings(body={"persistent": {TRUSTED: [*there, by_hand]}})

    try:
        with meanwhile(monkeypatch, client, before=nothing, after=write_back):
            one.install()
        assert {one.endpoint.pattern, by_hand, *there} <= set(trusted(client))
    finally:
        left = [pattern for pattern in trusted(client) if pattern != by_hand]
        client.cluster.put_settings(body={"persistent": {TRUSTED: left}})


@pytest.mark.fault("10.6.3")
def test_installs_at_once_in_two_threads_lose_nothing_and_uninstalls_leave_nothing(
    two: tuple[Installer, Installer],
) -> None:
    barrier = Barrier(2)

    def rounds(one: Installer) -> None:
        for _ in range(3):
            barrier.wait(60)
            one.install()
            barrier.wait(60)
            found = trusted(one.client)
            barrier.wait(60)
            assert all(each.endpoint.pattern in found for each in two)
            one.uninstall()
            barrier.wait(60)
            found = trusted(one.client)
            assert not any(each.endpoint.pattern in found for each in two)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(rounds, one) for one in two]:
            done.result()


@pytest.mark.fault("10.s.2")
@pytest.mark.parametrize(
    "text",
    ["", "no record", MADE_BY, MADE_BY + "[]", MADE_BY + "{}", MADE_BY + '{"trusted": 3, "trusted_was_set": 1}'],
)
def test_a_record_that_was_changed_by_hand_is_none(text: str) -> None:
    assert parse_record({"description": text}) is None


def test_a_record_of_a_newer_sorce_is_read_as_far_as_it_is_known() -> None:
    record = Record(["a"], True, None, ["b"])
    text = record.description().replace('"private"', '"newer": 1, "private"')
    assert parse_record({"description": text}) == record


def test_the_setting_for_private_addresses_is_left_alone_by_a_public_endpoint(
    client: OpenSearch, two: tuple[Installer, Installer]
) -> None:
    def private() -> Any:
        return client.cluster.get_settings(params={"flat_settings": "true"})["persistent"].get(PRIVATE)

    before = private()
    two[0].install()
    assert private() == before
