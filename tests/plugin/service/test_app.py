"""The encoder service uses the OpenAI form, refuses with a status and a sentence, and keeps running."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner

from sorce.access import is_loopback
from sorce.errors import PluginError
from sorce.mappings import Vector
from sorce.plugin.service import app as service
from sorce.plugin.service import batching, openapi, requests
from sorce.plugin.service.batching import BATCH, Batcher, Full
from sorce.plugin.service.commands import serve
from tests.kit.corpus import DIMENSION, Words
from tests.kit.serving import serving

NO_SUCH_PATH = "there is nothing at this path; POST /v1/embeddings encodes texts."


class Held(Words):
    """Encodes nothing before it is let go, but for the warm-up."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.busy = Event(), Event()

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        if self.calls:
            self.busy.set()
            assert self.go.wait(60)
        return super().embed_texts(texts)


def ask(url: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else None
    given = None if isinstance(body, bytes) else body
    return httpx.post(f"{url}/v1/embeddings", content=content, json=given, headers=headers, timeout=60)


def vectors(answer: httpx.Response) -> Vector:
    assert answer.status_code == 200, answer.text
    return np.array([item["embedding"] for item in answer.json()["data"]], np.float32)


def test_answers_in_the_openai_form_and_in_order(encoder_url: str) -> None:
    texts = ["b", "a", "b", "c"]
    answer = ask(encoder_url, {"input": texts, "model": "words"})
    assert np.array_equal(vectors(answer), Words().embed_texts(texts))
    body = answer.json()
    assert (body["object"], body["model"]) == ("list", "words")
    assert [(item["object"], item["index"]) for item in body["data"]] == [("embedding", i) for i in range(4)]
    assert body["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


def test_takes_a_single_text(encoder_url: str) -> None:
    assert np.array_equal(vectors(ask(encoder_url, {"input": "a kite"})), Words().embed_texts(["a kite"]))


def test_gives_base64_as_openai_s_client_asks_for_it(encoder_url: str) -> None:
    body = {"input": "a kite", "model": "words", "encoding_format": "base64"}
    encoded = ask(encoder_url, body).json()["data"][0]["embedding"]
    assert np.array_equal(np.frombuffer(base64.b64decode(encoded), np.float32), Words().embed_texts(["a kite"])[0])


@pytest.mark.fault("9.1.1")
@pytest.mark.parametrize("field", ["encoding_format", "model", "dimensions", "user"])
def test_null_for_an_optional_field_is_as_if_it_were_left_out(encoder_url: str, field: str) -> None:
    answer = ask(encoder_url, {"input": "a kite", field: None})
    assert np.array_equal(vectors(answer), Words().embed_texts(["a kite"]))


@pytest.mark.fault("9.1.2")
def test_models_are_listed_in_the_openai_form() -> None:
    name = "google/siglip2-base"
    with serving(service.application(service.Served(name, Words(), "secret"))) as url:
        key = {"Authorization": "Bearer secret"}
        listed = httpx.get(f"{url}/v1/models", headers=key).json()
        assert (listed["object"], [each["id"] for each in listed["data"]]) == ("list", [name])
        assert {"id": name, "object": "model", "owned_by": "sorce"}.items() <= listed["data"][0].items()
        assert isinstance(listed["data"][0]["created"], int)
        for path in (name, "google%2Fsiglip2-base"):
            assert httpx.get(f"{url}/v1/models/{path}", headers=key).json() == listed["data"][0]
        missing = httpx.get(f"{url}/v1/models/other", headers=key)
        assert missing.status_code == 404
        assert missing.json()["error"]["message"] == f"model 'other' is not served here; this is '{name}'."
        assert httpx.get(f"{url}/v1/models").status_code == 401


@pytest.mark.fault("9.1.3")
@pytest.mark.parametrize("given", [[1, 2], [[1, 2], [3]]])
def test_token_ids_are_named(encoder_url: str, given: Any) -> None:
    answer = ask(encoder_url, {"input": given})
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        422,
        "input holds token ids; send texts.",
    )


@pytest.mark.fault("9.1.4")
def test_2048_texts_are_encoded_in_batches_and_a_single_text_does_not_wait_for_all_of_them() -> None:
    encoder, texts = Held(), [f"text {i}" for i in range(2048)]
    with serving(service.application(service.Served("words", encoder))) as url, ThreadPoolExecutor(2) as threads:
        many = threads.submit(ask, url, {"input": texts})
        assert encoder.busy.wait(60)
        single = threads.submit(ask, url, {"input": "single"})
        wait_for(url, 1)
        encoder.go.set()
        assert np.array_equal(vectors(many.result()), Words().embed_texts(texts))
        assert np.array_equal(vectors(single.result()), Words().embed_texts(["single"]))
    sizes = [len(call) for call in encoder.calls[1:]]
    assert max(sizes) <= BATCH
    assert "single" in encoder.calls[2]


@pytest.mark.fault("9.3.1")
def test_a_worker_that_fails_is_started_again_and_nobody_hangs() -> None:
    class Short(Words):
        """Gives too few vectors, which no model may: the worker fails on it."""

        def embed_texts(self, texts: Sequence[str]) -> Vector:
            return super().embed_texts(texts)[: 0 if "short" in texts else None]

    with serving(service.application(service.Served("words", Short()))) as url:
        failed = ask(url, {"input": "short"})
        assert failed.status_code == 503
        assert "the encoder's worker failed" in failed.json()["error"]["message"]
        assert np.array_equal(vectors(ask(url, {"input": "a kite"})), Words().embed_texts(["a kite"]))
        assert httpx.get(f"{url}/ready").status_code == 200


@pytest.mark.fault("9.3.2")
def test_a_worker_that_has_ended_is_said_by_health_and_requests_are_refused() -> None:
    class Gone(Batcher):
        async def run(self) -> None:
            run = asyncio.create_task(super().run())
            await asyncio.sleep(0)
            run.cancel()
            await asyncio.wait([run])

    encoder = Words()
    with serving(service.application(service.Served("words", encoder), Gone(encoder))) as url:
        refused = ask(url, {"input": "a kite"})
        assert refused.status_code == 503
        assert "the encoder's worker has ended" in refused.json()["error"]["message"]
        health = httpx.get(f"{url}/health")
        assert (health.status_code, health.json()["worker"]) == (200, "ended")
        ready = httpx.get(f"{url}/ready")
        assert (ready.status_code, ready.headers["Retry-After"]) == (503, "1")
        assert ready.json()["error"]["message"] == "not ready: the encoder's worker has ended."


def test_a_library_that_exits_in_the_model_does_not_end_the_service() -> None:
    class Exiting(Words):
        def embed_texts(self, texts: Sequence[str]) -> Vector:
            if "exit" in texts:
                sys.exit(3)
            return super().embed_texts(texts)

    with serving(service.application(service.Served("words", Exiting()))) as url:
        assert ask(url, {"input": "exit"}).status_code == 500
        assert ask(url, {"input": "a kite"}).status_code == 200


@pytest.mark.fault("9.s.4")
def test_a_model_that_does_not_answer_is_not_ready_and_the_process_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "PROBE_SECONDS", 0.2)
    encoder = Held()
    with serving(service.application(service.Served("words", encoder))) as url, ThreadPoolExecutor(1) as threads:
        first = threads.submit(ask, url, {"input": "first"})
        assert encoder.busy.wait(60)
        refused = httpx.get(f"{url}/ready", timeout=60)
        assert refused.status_code == 503
        assert refused.json()["error"]["message"] == "not ready: the model does not answer."
        assert httpx.get(f"{url}/health").status_code == 200
        encoder.go.set()
        assert first.result().status_code == 200
        ready = httpx.get(f"{url}/ready")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "model": "words"})


@pytest.mark.fault("9.s.5")
def test_a_request_that_the_model_does_not_answer_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ANSWER_SECONDS", 0.2)
    encoder = Held()
    with serving(service.application(service.Served("words", encoder))) as url:
        refused = ask(url, {"input": "first"})
        encoder.go.set()
        assert refused.status_code == 503
        assert refused.json()["error"]["message"] == "the model did not answer within 0.2 seconds."


def test_health_names_the_model(encoder_url: str) -> None:
    answer = httpx.get(f"{encoder_url}/health").json()
    assert answer == {"status": "ok", "model": "words", "dimension": DIMENSION, "waiting": 0, "worker": "running"}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "the body is not JSON"),
        (b"", 400, "the body is not JSON"),
        (b'{"input": "\\ud800"}', 400, "the body is not JSON"),
        (b"\xff\xfe", 400, "the body is not JSON"),
        ({}, 422, "input: give a text"),
        ([], 422, "body"),
        ({"input": []}, 422, "input: give a text"),
        ({"input": [1, 2]}, 422, "input holds token ids; send texts."),
        ({"input": [[1, 2]]}, 422, "input holds token ids; send texts."),
        ({"input": [[]]}, 422, "input: give a text"),
        ({"input": [True]}, 422, "input: give a text"),
        ({"input": None}, 422, "input: give a text"),
        ({"input": ["a", " "]}, 422, "a text is empty"),
        (
            {"input": "a", "dimensions": 7},
            422,
            f"this model's vectors have {DIMENSION}; serve an index that was made with --dimension.",
        ),
        ({"input": "a", "encoding_format": "hex"}, 422, "encoding_format"),
        ({"input": "a", "model": "other"}, 404, "model 'other' is not served here; this is 'words'"),
        ({"input": "x" * (2001)}, 413, "longer than 2000 characters"),
        ({"input": ["a"] * (openapi.MAX_TEXTS + 1)}, 413, "2049 texts; send at most 2048"),
        (b" " * (requests.MAX_BYTES + 1), 413, "larger than"),
    ],
)
def test_refuses_with_a_status_and_a_sentence(encoder_url: str, body: Any, status: int, said: str) -> None:
    answer = ask(encoder_url, body)
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_other_paths_and_methods_are_refused(encoder_url: str) -> None:
    assert httpx.get(f"{encoder_url}/v1/embeddings").status_code == 405
    missing = httpx.get(f"{encoder_url}/etc/passwd")
    assert (missing.status_code, missing.json()["error"]["message"]) == (404, NO_SUCH_PATH)


def test_asks_for_the_key() -> None:
    with serving(service.application(service.Served("words", Words(), "secret"))) as url:
        for given in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "secret"},
            {"Authorization": "Basic c2VjcmV0"},
        ):
            refused = ask(url, {"input": "a"}, **given)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "secret" not in refused.text
        for scheme in ("Bearer", "bearer", "BEARER"):
            assert ask(url, {"input": "a"}, Authorization=f"{scheme} secret").status_code == 200
        assert httpx.get(f"{url}/health").status_code == 200


@pytest.mark.parametrize("key", ["schl\u00fcssel", " led", "line\n", "\u043a\u043b\u044e\u0447"])
def test_a_key_that_no_header_can_hold_is_refused_at_the_start(key: str) -> None:
    refused = CliRunner().invoke(serve, ["--model", "mini", "--port", "0"], env={"SORCE_API_KEY": key})
    assert isinstance(refused.exception, PluginError)
    assert "SORCE_API_KEY cannot be sent in an HTTP header" in str(refused.exception)
    assert key not in str(refused.exception)


@pytest.mark.fault("12.s.2")
@pytest.mark.parametrize("port", ["-1", "65536", "99999999"])
def test_a_port_that_cannot_be_is_wrong_usage(port: str) -> None:
    refused = CliRunner().invoke(serve, ["--model", "mini", "--port", port])
    assert refused.exit_code == 2
    assert "is not in the range 0<=x<=65535" in refused.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_needs_a_key_where_others_can_reach_it(host: str) -> None:
    with pytest.raises(PluginError, match="set SORCE_API_KEY"):
        service.listen(host, 0, None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_needs_none_on_this_machine(host: str) -> None:
    assert is_loopback(host)


def test_no_part_of_an_answer_waits_for_the_one_before() -> None:
    with service.listen("127.0.0.1", 0, None) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_taken_port_is_a_sentence() -> None:
    with service.listen("127.0.0.1", 0, None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PluginError, match=f"cannot listen at 127.0.0.1:{port}"):
            service.listen("127.0.0.1", port, None)


def test_texts_of_requests_that_wait_are_encoded_together_and_once() -> None:
    encoder = Held()
    with serving(service.application(service.Served("words", encoder))) as url, ThreadPoolExecutor(20) as threads:
        first = threads.submit(ask, url, {"input": "first"})
        assert encoder.busy.wait(60)
        others = [threads.submit(ask, url, {"input": [f"text {i % 5}", "same"]}) for i in range(12)]
        wait_for(url, 6)
        encoder.go.set()
        assert np.array_equal(vectors(first.result()), Words().embed_texts(["first"]))
        for i, other in enumerate(others):
            assert np.array_equal(vectors(other.result()), Words().embed_texts([f"text {i % 5}", "same"]))
        assert [sorted(call) for call in encoder.calls[1:]] == [["first"], ["same", *(f"text {i}" for i in range(5))]]


def test_a_known_text_is_not_encoded_again() -> None:
    encoder = Words()
    with serving(service.application(service.Served("words", encoder))) as url:
        for _ in range(3):
            vectors(ask(url, {"input": ["a", "b"]}))
    assert [call for call in encoder.calls if "a" in call] == [["a", "b"]]


def test_a_full_queue_is_503_with_retry_after_and_passes() -> None:
    encoder = Held()
    app = service.application(service.Served("words", encoder), Batcher(encoder, max_waiting=3))
    with serving(app) as url, ThreadPoolExecutor(4) as threads:
        first = threads.submit(ask, url, {"input": "first"})
        assert encoder.busy.wait(60)
        second = threads.submit(ask, url, {"input": ["a", "b", "c"]})
        wait_for(url, 3)
        refused = ask(url, {"input": "d"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json()["error"]["type"] == "server_error"
        encoder.go.set()
        assert first.result().status_code == second.result().status_code == 200
        assert ask(url, {"input": "d"}).status_code == 200


def wait_for(url: str, texts: int) -> None:
    for _ in range(1000):
        if httpx.get(f"{url}/health", timeout=60).json()["waiting"] == texts:
            return
        time.sleep(0.01)
    raise AssertionError(f"{texts} texts do not wait")


def test_a_failing_encoder_fails_those_texts_and_no_others() -> None:
    class Failing(Words):
        def embed_texts(self, texts: Sequence[str]) -> Vector:
            if "bad" in texts:
                raise ValueError("bad")
            return super().embed_texts(texts)

    async def both() -> None:
        batcher = Batcher(Failing())
        run = asyncio.create_task(batcher.run())
        with pytest.raises(ValueError, match="bad"):
            await batcher.vectors(["bad"])
        assert len(await batcher.vectors(["good"])) == 1
        batcher.close()
        await run

    asyncio.run(both())


def test_the_cache_forgets_what_was_asked_longest_ago() -> None:
    async def ask_all() -> list[list[str]]:
        encoder = Words()
        batcher = Batcher(encoder, max_cached=2)
        run = asyncio.create_task(batcher.run())
        for text in "abacab":
            await batcher.vectors([text])
        batcher.close()
        await run
        return encoder.calls

    assert asyncio.run(ask_all()) == [["a"], ["b"], ["c"], ["b"]]


def test_more_texts_than_may_wait_are_refused_at_once() -> None:
    async def ask_all() -> None:
        await Batcher(Words(), max_waiting=1).vectors(["a", "b"])

    with pytest.raises(Full):
        asyncio.run(ask_all())


@pytest.mark.long
def test_the_command_serves_and_stops_on_sigterm() -> None:
    command = [
        sys.executable,
        "-c",
        "from sorce.cli import main; main()",
        "serve",
        "--model",
        "mini",
        "--device",
        "cpu",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "SORCE_API_KEY"}
    process = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment | {"PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    with process, process.stdout:
        said = process.stdout.readline()
        url = said.split(" at ")[1].removesuffix("/v1/embeddings\n")
        assert said.startswith("serving mini at http://127.0.0.1:")
        found = vectors(ask(url, {"input": ["a kite"], "model": "mini"}))
        assert np.linalg.norm(found, axis=1) == pytest.approx([1], abs=1e-5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
