"""Two clients change the trusted list at once: their requests arrive in every order that has few switches between them.

A real server cannot be made to answer in a given order. So the cluster is a fake here, made of two dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Semaphore
from typing import Any

import pytest
from opensearchpy import exceptions

from sorce.plugin.cluster.allow_list import TRUSTED
from sorce.plugin.cluster.endpoint import Endpoint, parse
from tests.kit.installer import Installer

DEFAULT = "^https://default$"
Act = Callable[[], object]

ENOUGH = 1000
"""More requests than any act sends."""


class Cluster:
    """The settings and the search pipelines of a cluster. Nobody has made a connector."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.pipelines: dict[str, Any] = {}

    @property
    def trusted(self) -> set[str]:
        return set(self.settings.get(TRUSTED, [DEFAULT]))

    def get_settings(self, params: object) -> Any:  # noqa: ARG002
        return {"transient": {}, "persistent": dict(self.settings), "defaults": {TRUSTED: [DEFAULT]}}

    def put_settings(self, body: Mapping[str, Mapping[str, Any]]) -> None:
        given = self.settings | dict(body["persistent"])
        self.settings = {name: value for name, value in given.items() if value is not None}

    def get(self) -> Any:
        if not self.pipelines:
            raise exceptions.NotFoundError(404, "none", {})
        return dict(self.pipelines)

    def put(self, id: str, body: object) -> None:  # noqa: A002
        self.pipelines[id] = body

    def delete(self, id: str) -> None:  # noqa: A002
        del self.pipelines[id]

    def search_connectors(self, body: object) -> Any:  # noqa: ARG002
        return {"hits": {"hits": []}}

    search_models = search_connectors


class Turns:
    """Lets two clients send their requests in a given order. Outside of `run` they need not wait."""

    def __init__(self) -> None:
        self._may, self._back = (Semaphore(0), Semaphore(0)), Semaphore(0)
        self._waiting = False
        self._ended = [False, False]

    def wait(self, who: int) -> None:
        if self._waiting:
            self._back.release()
            self._may[who].acquire()

    def run(self, acts: Sequence[Act], switches: Sequence[int]) -> None:
        """One client sends the first number of requests, then the other the second, and so on; then both end."""
        self._waiting, self._ended = True, [False, False]
        with ThreadPoolExecutor(2) as threads:
            done = [threads.submit(self._act, who, act) for who, act in enumerate(acts)]
            for turn, requests in enumerate([*switches, ENOUGH, ENOUGH]):
                for _ in range(requests):
                    if not self._ended[turn % 2]:
                        self._may[turn % 2].release()
                        self._back.acquire()
            self._waiting = False
            for each in done:
                each.result(timeout=60)

    def _act(self, who: int, act: Act) -> None:
        self._may[who].acquire()
        try:
            act()
        finally:
            self._ended[who] = True
            self._back.release()


class Client:
    """Stands for an opensearchpy client and for its namespaces."""

    def __init__(self, cluster: Cluster, turns: Turns, who: int) -> None:
        self._cluster, self._turns, self._who = cluster, turns, who
        self.search_pipeline = self.cluster = self.plugins = self.ml = self

    def __getattr__(self, name: str) -> Any:
        def sent(*args: Any, **kwargs: Any) -> Any:
            self._turns.wait(self._who)
            return getattr(self._cluster, name)(*args, **kwargs)

        return sent


ORDERS = [*product(range(1, 14, 2), repeat=2), *product(range(1, 8, 2), repeat=3)]
ACTS = ("install", "uninstall")


@pytest.mark.fault("10.s.3")
@pytest.mark.parametrize("same", [False, True], ids=["own", "same"])
@pytest.mark.parametrize("acts", list(product(ACTS, ACTS)), ids="-".join)
def test_the_list_is_right_after_every_order_of_two_clients_requests(acts: tuple[str, str], same: bool) -> None:
    endpoints = [parse(f"https://1.1.1.1/{0 if same else who}", "m", None) for who in range(2)]
    wrong = [order for order in ORDERS if not _right(acts, endpoints, order)]
    assert not wrong


def _right(acts: Sequence[str], endpoints: Sequence[Endpoint], order: Sequence[int]) -> bool:
    cluster, turns = Cluster(), Turns()
    two = [Installer(Client(cluster, turns, who), endpoint) for who, endpoint in enumerate(endpoints)]  # type: ignore[arg-type]
    for each, act in zip(two, acts, strict=True):
        if act == "uninstall":
            each.install()
    turns.run([getattr(each, act) for each, act in zip(two, acts, strict=True)], order)
    there = {each.endpoint.pattern for each, act in zip(two, acts, strict=True) if act == "install"}
    if cluster.trusted != {DEFAULT} | there:
        return False
    for each in two:
        each.uninstall()
    return cluster.trusted == {DEFAULT}
