"""Connections are limited: a client that opens hundreds of them blocks no other client, and fills no log."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from sorce.engine.certificates import Authority
from sorce.plugin.service import app as service
from sorce.plugin.service import connections, header_timeout, log_limit
from tests.kit.corpus import RECIPE, Words
from tests.kit.serving import serving
from tests.kit.standalone import standing_alone
from tests.plugin.service.test_app import Held, ask, wait_for
from tests.plugin.service.test_load import HEAD, Wide, connected, everything, right, served

DESCRIPTORS = 256
MANY = 300
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
MAX_LOG = 20_000


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    authority.issue("encoder").write(tmp_path / "encoder.pem", tmp_path / "encoder.key")
    return tmp_path / "encoder.pem", tmp_path / "encoder.key"


def silent(url: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=60)
    client.settimeout(30)
    return client


def logged(process: subprocess.Popen[str]) -> str:
    """All that the service wrote, after it is ended."""
    process.kill()
    assert process.stderr is not None
    return process.stderr.read()


@pytest.mark.fault("9.2.1")
def test_300_connections_without_a_tls_hello_keep_nobody_out(certificate: tuple[Path, Path]) -> None:
    trusted = ssl.create_default_context(cafile=certificate[0].parent / "ca.pem")
    with standing_alone(descriptors=DESCRIPTORS, certificate=certificate) as (process, url), ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(silent(url))
        for text in ("a kite", "zebra"):
            body = {"input": text, "model": RECIPE.model}
            answer = httpx.post(f"{url}/v1/embeddings", json=body, verify=trusted, timeout=60)
            assert right(answer, [text])
        assert len(logged(process)) < MAX_LOG


@pytest.mark.fault("9.2.2")
def test_300_connections_that_ask_for_health_again_and_again_keep_nobody_out() -> None:
    with standing_alone(descriptors=DESCRIPTORS) as (process, url), ExitStack() as stack:
        many = [stack.enter_context(silent(url)) for _ in range(MANY)]
        for text in ("a kite", "zebra", "sea"):
            for client in many:
                ask_health(client)
            assert right(ask(url, {"input": text}), [text])
        assert httpx.get(f"{url}/health").status_code == 200
        assert len(logged(process)) < MAX_LOG


def ask_health(client: socket.socket) -> None:
    try:
        client.sendall(HEALTH)
    except OSError:
        # The connection was closed to make room.
        return


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)


@pytest.mark.usefixtures("few")
def test_a_connection_in_work_is_not_closed_to_make_room_and_dawdling_bodies_are() -> None:
    encoder = Held()
    with serving(served(encoder)) as url, ExitStack() as stack:
        working = stack.enter_context(connected(url))
        body = b'{"input": "first"}'
        working.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert encoder.busy.wait(60)
        for _ in range(20):
            stack.enter_context(connected(url)).sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        wait_for(url, 0)
        encoder.go.set()
        assert b" 200 OK" in working.recv(1000)


@pytest.mark.usefixtures("few")
def test_where_all_connections_are_in_work_another_is_closed_at_once() -> None:
    encoder = Held()
    with serving(served(encoder)) as url, ExitStack() as stack:
        for number in range(4):
            body = b'{"input": "text %d"}' % number
            client = stack.enter_context(connected(url))
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert encoder.busy.wait(60)
        refused = next(said for said in (everything(more) for more in connecting(url, stack)) if said == b"")
        assert refused == b""
        encoder.go.set()


def connecting(url: str, stack: ExitStack) -> Iterator[socket.socket]:
    for _ in range(1000):
        yield stack.enter_context(connected(url))


@pytest.mark.fault("9.2.3")
def test_a_tls_handshake_has_a_time_limit(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", 0.2)
    trusted = ssl.create_default_context(cafile=certificate[0].parent / "ca.pem")
    app = service.application(service.Served("words", Words()))
    with serving(app, service.Certificate(*certificate)) as url:
        with silent(url) as client:
            assert everything(client) == b""
        monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", 60)
        with httpx.Client(verify=trusted) as slow:
            assert slow.get(f"{url}/health").status_code == 200


@pytest.mark.fault("9.s.2")
def test_who_does_not_read_a_large_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_timeout, "SEND_SECONDS", 0.2)
    body = json.dumps({"input": [f"text {number}" for number in range(250)]}).encode()
    # More than the kernel buffers for a client that does not read.
    with serving(served(Wide())) as url, connected(url, receives=4096) as client:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            send_on(client)


def send_on(client: socket.socket) -> None:
    for _ in range(3000):
        client.sendall(b" ")
        time.sleep(0.01)


@pytest.mark.fault("9.2.4")
def test_a_log_is_limited_and_says_what_it_left_out() -> None:
    now = [0.0]
    limit = log_limit.LogLimit(lambda: now[0])

    def record() -> logging.LogRecord:
        return logging.LogRecord("asyncio", logging.ERROR, "", 0, "out of descriptors", (), None)

    assert sum(limit.filter(record()) for _ in range(10_000)) == log_limit.MAX_RECORDS
    now[0] = log_limit.WINDOW_SECONDS
    first = record()
    assert limit.filter(first)
    assert first.getMessage() == "out of descriptors (9980 records before this one were left out)"


@pytest.mark.fault("9.2.5")
def test_broken_requests_fill_no_log() -> None:
    with standing_alone() as (process, url):
        for _ in range(200):
            with silent(url) as client:
                client.sendall(b"\x00\x01 what\r\n\r\n")
                assert b" 400 " in client.recv(1000)
        # A line for each would be 200.
        assert 0 < len(logged(process).splitlines()) < 100
