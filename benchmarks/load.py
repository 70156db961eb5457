"""The encoder service under load: valid and invalid requests at once, beside clients that never finish a request."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import urllib3
from figures import Line, at_least, exactly

from sorce.models import load_encoder
from sorce.plugin.cluster.endpoint import MAX_CHARACTERS

CLIENTS, REQUESTS, STALLED = 64, 20, 50
TEXTS, MANY = 12_800, 100
"""How many different texts, and texts per large request: the clients' first requests together overfill the queue."""

TRIES = 100
SECONDS = 120
CLOSE = 1e-4
SERVE = ["serve", "--model", "mini", "--device", "cpu", "--port", "0"]


@dataclass(frozen=True)
class Asked:
    """A request, and the status that its last try must get."""

    body: bytes
    status: int
    texts: tuple[int, ...] = ()
    """Their numbers."""


@dataclass(frozen=True)
class Answered:
    """The statuses of all tries, and the last body. Without any status, the answer was lost."""

    statuses: list[int]
    body: bytes = b""


def measures() -> Iterator[Line]:
    asked = [[request(client, number) for number in range(REQUESTS)] for client in range(CLIENTS)]
    with service() as url, stalling(url), ThreadPoolExecutor(CLIENTS) as threads:
        started = time.monotonic()
        answered = list(threads.map(lambda requests: ask_all(url, requests), asked))
        seconds = time.monotonic() - started
    yield Line("load: requests", CLIENTS * REQUESTS, note=f"{CLIENTS} clients at once, {STALLED} more that dawdle")
    pairs = [pair for each in zip(asked, answered, strict=True) for pair in zip(*each, strict=True)]
    came = Counter(status for _, each in pairs for status in each.statuses)
    # The first large requests of all clients together have more texts than the queue holds: some must be refused.
    full = came.pop(503, 0)
    yield at_least("load: answers 503, asked again", full, 1)
    for status, count in sorted(came.items()):
        yield Line(f"load: answers {status}", count)
    yield exactly("load: requests without an answer", sum(not each.statuses for _, each in pairs), 0)
    right = are_right(pairs)
    yield exactly("load: requests answered otherwise than they must be", len(pairs) - right, 0)
    yield Line("load: requests a second", len(pairs) / seconds)


def request(client: int, number: int) -> Asked:
    """Of ten requests, two are large, and four are invalid in different ways."""
    place, kind = client + CLIENTS * number, number % 10
    if kind in (0, 5):
        first = place * MANY
        return of_texts(tuple(i % TEXTS for i in range(first, first + MANY)))
    wrong = {
        2: Asked(b'{"input": ', 400),
        4: Asked(b'{"input": "a", "model": "another"}', 404),
        6: Asked(json.dumps({"input": "x" * (MAX_CHARACTERS + 1)}).encode(), 413),
        8: Asked(b'{"input": " "}', 422),
    }
    return wrong.get(kind) or of_texts((place % TEXTS,))


def of_texts(numbers: tuple[int, ...]) -> Asked:
    return Asked(json.dumps({"input": [text(number) for number in numbers]}).encode(), 200, numbers)


def text(number: int) -> str:
    return f"thing number {number}"


def ask_all(url: str, requests: list[Asked]) -> list[Answered]:
    """One client sends one request after another. When the service is busy, it tries again after the time stated."""
    with urllib3.PoolManager(retries=False, timeout=SECONDS) as pool:
        return [ask(pool, url, each) for each in requests]


def ask(pool: urllib3.PoolManager, url: str, asked: Asked) -> Answered:
    statuses: list[int] = []
    for _ in range(TRIES):
        try:
            answer = pool.request("POST", url, body=asked.body)
        except urllib3.exceptions.HTTPError:
            return Answered([])
        statuses.append(answer.status)
        if answer.status != 503:
            return Answered(statuses, answer.data)
        time.sleep(float(answer.headers["Retry-After"]))
    return Answered(statuses)


def are_right(pairs: list[tuple[Asked, Answered]]) -> int:
    """How many requests got the right status, and for texts the right vectors."""
    wanted = load_encoder("mini", "cpu").embed_texts([text(number) for number in range(TEXTS)])

    def is_right(asked: Asked, answered: Answered) -> bool:
        if answered.statuses[-1:] != [asked.status]:
            return False
        if asked.status != 200:
            return bool(json.loads(answered.body)["error"]["message"])
        found = np.array([item["embedding"] for item in json.loads(answered.body)["data"]])
        return found.shape == wanted[list(asked.texts)].shape and np.allclose(
            found, wanted[list(asked.texts)], atol=CLOSE
        )

    return sum(is_right(*pair) for pair in pairs)


@contextmanager
def service() -> Iterator[str]:
    """Runs `sorce serve` as a process of its own, and yields its address."""
    command = [sys.executable, "-uc", "from sorce.cli import main; main()", *SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" at ")[1].strip()
        finally:
            process.terminate()


@contextmanager
def stalling(url: str) -> Iterator[None]:
    """Clients that start a request and do not finish it."""
    with ExitStack() as stack:
        for _ in range(STALLED):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)))
            client.sendall(b"POST /v1/embeddings HTTP/1.1\r\nContent-Length: 9\r\n")
        yield
