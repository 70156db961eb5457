"""An encoder stops, is killed, or is busy: the cluster reports a short error, and later works as before."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect, translate_errors
from sorce.errors import ClusterError
from sorce.mappings import Hit
from sorce.plugin import ClientSearch, SearchRequest, ServerSearch
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.install import install, uninstall
from sorce.plugin.service import app as service
from sorce.plugin.service.batching import Batcher
from tests.kit.corpus import RECIPE, Words
from tests.kit.place import Place
from tests.kit.serving import serving
from tests.kit.standalone import standing_alone
from tests.plugin.service.test_app import wait_for
from tests.plugin.service.test_load import until_refused

# Encoders are started and killed, and each test waits for time-outs of the cluster.
pytestmark = pytest.mark.long


@pytest.fixture
def clean(client: OpenSearch, index: str) -> Iterator[str]:
    yield index
    uninstall(client, index)


def by_client(client: OpenSearch, index: str, *texts: str) -> list[Hit]:
    return ClientSearch(client, index, lambda _: Words()).search(SearchRequest(texts))


def by_server(client: OpenSearch, index: str, *texts: str) -> list[Hit]:
    with translate_errors("the cluster"):
        return ServerSearch(client, index).search(SearchRequest(texts))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_encoder_is_a_short_error_and_nothing_more(
    client: OpenSearch, clean: str, end: signal.Signals
) -> None:
    with standing_alone() as (process, url):
        install(client, clean, parse(url, RECIPE.model, None), Words())
        assert by_server(client, clean, "a kite") == by_client(client, clean, "a kite")
        process.send_signal(end)
        process.wait(60)
        for _ in range(3):
            with pytest.raises(ClusterError, match=r"refused \(500\): Error communicating with remote model"):
                by_server(client, clean, "a kite")
        # A client that encodes by itself is not affected.
        assert by_client(client, clean, "a kite")
    with standing_alone(urlsplit(url).port or 0):
        # At once, although the cluster still keeps connections open to the encoder before.
        for text in ("a kite", "zebra", "sea"):
            assert by_server(client, clean, text) == by_client(client, clean, text)


def test_a_search_that_the_encoder_took_is_answered_though_it_is_stopped(
    place: Place, client: OpenSearch, clean: str
) -> None:
    with (
        standing_alone() as (process, url),
        ThreadPoolExecutor(2) as threads,
        connect(place.url, place.access) as other,
    ):
        install(client, clean, parse(url, RECIPE.model, None), Words())
        first = threads.submit(by_server, client, clean, "hold")
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        second = threads.submit(by_server, other, clean, "a kite")
        wait_for(url, 1)
        process.send_signal(signal.SIGTERM)
        until_refused(url)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        found = first.result(), second.result()
    assert found == (by_client(client, clean, "hold"), by_client(client, clean, "a kite"))


def test_a_busy_encoder_is_a_sentence_of_the_cluster_s(client: OpenSearch, clean: str) -> None:
    encoder = Words()
    app = service.application(service.Served(RECIPE.model, encoder), Batcher(encoder, max_waiting=2))
    with serving(app) as url:
        install(client, clean, parse(url, RECIPE.model, None), Words())
        with pytest.raises(ClusterError, match="too many texts wait already") as refused:
            by_server(client, clean, "a", "b", "c")
        assert "503" in str(refused.value)
        assert by_server(client, clean, "a kite") == by_client(client, clean, "a kite")
