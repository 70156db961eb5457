"""The service under load: its queues are bounded, slow clients delay nobody, and accepted requests are answered."""

from __future__ import annotations

import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from itertools import islice
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from sorce.mappings import Vector
from sorce.models.model import TextEncoder
from sorce.plugin.cluster.endpoint import MAX_CHARACTERS
from sorce.plugin.service import app as service
from sorce.plugin.service import header_timeout, requests
from sorce.plugin.service.batching import Batcher
from sorce.plugin.service.openapi import MAX_TEXTS
from tests.kit.corpus import Words
from tests.kit.serving import serving
from tests.kit.standalone import standing_alone
from tests.plugin.service.test_app import Held, ask, vectors, wait_for

# Queues are filled and drained.
pytestmark = pytest.mark.long

HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@contextmanager
def connected(url: str, receives: int | None = None) -> Iterator[socket.socket]:
    """A client that writes its requests by hand; `receives` limits what the kernel takes in for it."""
    with socket.socket() as client:
        if receives is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        client.settimeout(30)
        client.connect(("127.0.0.1", urlsplit(url).port))
        yield client


def everything(client: socket.socket) -> bytes:
    """What the service says until it hangs up."""
    said = b""
    while True:
        try:
            part = client.recv(65536)
        except ConnectionResetError:
            return said
        if not part:
            return said
        said += part


def served(encoder: TextEncoder, max_waiting: int = 1024) -> service.FastAPI:
    return service.application(service.Served("words", encoder), Batcher(encoder, max_waiting))


class Wide(TextEncoder):
    """Its answers are large."""

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return np.full((len(texts), 2048), 1 / np.sqrt(2048), np.float32)


def right(answer: httpx.Response, texts: Sequence[str]) -> bool:
    return answer.status_code == 200 and np.array_equal(vectors(answer), Words().embed_texts(texts))


def test_of_more_requests_than_the_queue_holds_the_rest_is_refused_and_answered_later() -> None:
    encoder = Held()
    requests = [[f"text {number} {i}" for i in range(4)] for number in range(40)]
    with serving(served(encoder, max_waiting=20)) as url, ThreadPoolExecutor(41) as threads:
        first = threads.submit(ask, url, {"input": "first"})
        assert encoder.busy.wait(60)
        asked = [threads.submit(ask, url, {"input": texts}) for texts in requests]
        wait_for(url, 20)
        refused = list(islice(as_completed(asked, 120), 35))
        assert {each.result().status_code for each in refused} == {503}
        assert {each.result().headers["Retry-After"] for each in refused} == {"1"}
        encoder.go.set()
        assert right(first.result(), ["first"])
        for each, texts in zip(asked, requests, strict=True):
            assert right(ask(url, {"input": texts}) if each in refused else each.result(), texts)
    # Each text once: refused requests had not been accepted.
    encoded = Counter(text for call in encoder.calls[1:] for text in call)
    assert encoded == Counter(["first", *(text for texts in requests for text in texts)])


def test_requests_in_work_are_limited_and_each_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_REQUESTS", 2)
    encoder = Held()
    with serving(served(encoder)) as url, ThreadPoolExecutor(2) as threads:
        first = threads.submit(ask, url, {"input": "first"})
        assert encoder.busy.wait(60)
        second = threads.submit(ask, url, {"input": "second"})
        wait_for(url, 1)
        refused = ask(url, {"input": "third"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "too many requests" in refused.json()["error"]["message"]
        encoder.go.set()
        assert right(first.result(), ["first"])
        assert right(second.result(), ["second"])
        for body, status in ((b"{", 400), ({"input": " "}, 422), ({"input": "x", "model": "other"}, 404)):
            assert ask(url, body).status_code == status
        for _ in range(3):
            with connected(url) as gone:
                gone.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert any(right(ask(url, {"input": "fourth"}), ["fourth"]) for _ in range(1000))


def test_bodies_that_dawdle_take_no_place_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_REQUESTS", 2)
    with serving(served(Words())) as url, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(url)).sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert all(right(ask(url, {"input": "a"}), ["a"]) for _ in range(20))


def test_what_comes_in_at_a_time_is_limited_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_ARRIVING", 1000)
    with serving(served(Words())) as url:
        with connected(url) as slow:
            slow.sendall(HEAD + b"Content-Length: 1001\r\n\r\n" + b" " * 990)
            refused = next(answer for answer in tries(url) if answer.status_code != 200)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert "too much is coming in" in refused.json()["error"]["message"]
        assert any(answer.status_code == 200 for answer in tries(url))
        assert ask(url, b" " * 1001).status_code == 503
        assert ask(url, {"input": "x" * 900}).status_code == 200


def tries(url: str) -> Iterator[httpx.Response]:
    return (ask(url, {"input": "a text"}) for _ in range(1000))


def test_a_client_that_goes_away_takes_nothing_from_others() -> None:
    encoder = Held()
    with serving(served(encoder)) as url, ThreadPoolExecutor(2) as threads:
        first = threads.submit(ask, url, {"input": "first"})
        assert encoder.busy.wait(60)
        body = json.dumps({"input": "same"}).encode()
        with connected(url) as gone:
            gone.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_for(url, 1)
            second = threads.submit(ask, url, {"input": ["same", "other"]})
            wait_for(url, 2)
        encoder.go.set()
        assert right(first.result(), ["first"])
        assert right(second.result(), ["same", "other"])


def test_slow_clients_hold_up_nobody_and_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(header_timeout, "HEAD_SECONDS", 0.5)
    starts = {"silent": b"", "head": HEAD[:20], "body": HEAD + b"Content-Length: 100\r\n\r\n{"}
    with serving(served(Words())) as url, ExitStack() as stack:
        slow = []
        for kind in starts:
            for _ in range(30):
                slow.append((kind, stack.enter_context(connected(url))))
                # At once: its time runs.
                slow[-1][1].sendall(starts[kind])
        assert right(ask(url, {"input": "a"}), ["a"])
        for kind, client in slow:
            said = everything(client)
            assert (b" 408 " in said and b"took more than" in said) if kind == "body" else said == b""
        assert right(ask(url, {"input": "b"}), ["b"])


@pytest.mark.parametrize("start", [HEAD, HEAD + b"Content-Length: 30000000\r\n\r\n" + b" " * (requests.MAX_BYTES + 1)])
def test_a_client_that_trickles_for_ever_is_let_go(monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(header_timeout, "HEAD_SECONDS", 0.2)
    with serving(served(Words())) as url, connected(url) as client:
        client.sendall(start)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            trickle(client)


def trickle(client: socket.socket) -> None:
    for _ in range(100_000):
        client.sendall(b"x")


def test_a_client_that_does_not_read_its_answers_holds_up_nobody() -> None:
    body = json.dumps({"input": [f"text {i}" for i in range(256)]}).encode()
    with serving(served(Wide())) as url, ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(connected(url, receives=4096))
            client.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert ask(url, {"input": "a"}).status_code == 200


@pytest.mark.parametrize(
    "texts",
    [
        ["x" * MAX_CHARACTERS],
        ["\U0001f600" * MAX_CHARACTERS],
        [f"{i:04d}" + "\x01" * (MAX_CHARACTERS - 4) for i in range(1300)],
        [f"text {i}" for i in range(MAX_TEXTS)],
    ],
)
def test_what_is_just_within_the_limits_is_answered(encoder_url: str, texts: list[str]) -> None:
    assert right(ask(encoder_url, json.dumps({"input": texts}).encode()), texts)


def test_a_body_without_a_length_is_limited_too(encoder_url: str) -> None:
    with connected(encoder_url) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
        for _ in range(17):
            client.sendall(chunk)
        assert b" 413 " in client.recv(1000)


def test_a_model_that_fails_is_a_sentence_and_the_next_text_is_encoded(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Words):
        def embed_texts(self, texts: Sequence[str]) -> Vector:
            if "bad" in texts or self.broken:
                raise ValueError("secret of the model")
            return super().embed_texts(texts)

        broken = False

    model = Failing()
    with serving(served(model)) as url:
        failed = ask(url, {"input": "bad"})
        assert (failed.status_code, failed.json()["error"]["type"]) == (500, "server_error")
        assert "the model failed on these texts" in failed.json()["error"]["message"]
        assert "secret" not in failed.text
        assert caplog.text.count("ValueError: secret of the model") == 1
        model.broken = True
        assert httpx.get(f"{url}/ready").status_code == 503
        assert caplog.text.count("ValueError: secret of the model") == 2
        model.broken = False
        assert right(ask(url, {"input": "good"}), ["good"])


def test_sigterm_answers_what_was_taken_and_takes_no_more() -> None:
    with standing_alone() as (process, url), ThreadPoolExecutor(8) as threads:
        first = threads.submit(ask, url, {"input": "hold"})
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        asked = {f"text {i}": threads.submit(ask, url, {"input": f"text {i}"}) for i in range(7)}
        wait_for(url, 7)
        process.send_signal(signal.SIGTERM)
        until_refused(url)
        assert not any(each.done() for each in (first, *asked.values()))
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert right(first.result(), ["hold"])
        for text, answer in asked.items():
            assert right(answer.result(), [text])
        assert process.wait(60) == -signal.SIGTERM
        assert process.stderr is not None
        assert process.stderr.read() == ""


def until_refused(url: str) -> None:
    for _ in range(10_000):
        try:
            httpx.get(f"{url}/health")
        except httpx.ConnectError:
            return
        except httpx.TransportError:
            # It was in the queue of connections, and was dropped with the queue.
            continue
    raise AssertionError("it still takes requests")
