"""Fifty users of the page at once: each searches, and asks for thumbnails and a view of what was found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import orjson
import urllib3
from figures import Line, at_most, exactly
from page_server import PageBench

USERS, ROUNDS, THUMBNAILS = 50, 4, 12
TRIES = 60
SECONDS = 120


@dataclass(frozen=True)
class UserAnswer:
    """The statuses of all tries of one request, and the milliseconds from the first try to the last answer."""

    kind: str
    statuses: tuple[int, ...]
    milliseconds: float
    body: bytes = b""


def measures(bench: PageBench) -> Iterator[Line]:
    alone = user(bench, 0)
    with ThreadPoolExecutor(USERS) as threads:
        answers = [each for some in threads.map(lambda number: user(bench, number), range(USERS)) for each in some]
    statuses = Counter(status for each in answers for status in each.statuses)
    tries = sum(statuses.values())
    yield Line(f"page: requests of {USERS} users at once", len(answers), note=f"statuses {dict(statuses)}")
    yield at_most("page: share of answers 503", statuses[503] / tries, 0.1)
    failed = [each for each in answers if each.statuses[-1:] != (200,)]
    yield exactly("page: requests that failed in the end", len(failed), 0)
    yield exactly("page: answers other than 200 and 503", tries - statuses[200] - statuses[503], 0)
    for kind in ("search", "thumb", "view"):
        yield Line(
            f"page: {kind}, {USERS} users, p95 ms", p95(answers, kind), note=f"one user: {p95(alone, kind):.1f} ms"
        )
    ratio = p95(answers) / p95(alone)
    yield at_most(f"page: p95 of {USERS} users / p95 of one", ratio, USERS, f"one user: {p95(alone):.1f} ms")


def p95(answers: list[UserAnswer], kind: str | None = None) -> float:
    taken = [each.milliseconds for each in answers if kind in (None, each.kind)]
    return float(np.percentile(taken, 95))


def user(bench: PageBench, number: int) -> list[UserAnswer]:
    answers: list[UserAnswer] = []
    with urllib3.PoolManager(retries=False, timeout=SECONDS) as pool:
        for round_ in range(ROUNDS):
            text = bench.texts[(number * ROUNDS + round_) % len(bench.texts)]
            body = orjson.dumps({"phrases": [text], "size": 50, "from": 0})
            found = ask(pool, "search", "POST", f"{bench.url}/api/search", body)
            answers.append(found)
            hits = orjson.loads(found.body)["hits"] if found.statuses[-1:] == (200,) else []
            for hit in hits[:THUMBNAILS]:
                answers.append(
                    ask(pool, "thumb", "GET", f"{bench.url}/thumb/{hit['photo_id']}?w=320&v={hit['version']}")
                )
            for hit in hits[:1]:
                answers.append(
                    ask(pool, "view", "GET", f"{bench.url}/view/{hit['photo_id']}?w=1600&v={hit['version']}")
                )
    return answers


def ask(pool: urllib3.PoolManager, kind: str, method: str, url: str, body: bytes | None = None) -> UserAnswer:
    """Asks again after the time that a busy service names."""
    statuses: list[int] = []
    started = time.perf_counter()
    for _ in range(TRIES):
        try:
            answer = pool.request(method, url, body=body)
        except urllib3.exceptions.HTTPError:
            statuses.append(0)
            break
        statuses.append(answer.status)
        if answer.status != 503:
            return UserAnswer(kind, tuple(statuses), 1000 * (time.perf_counter() - started), answer.data)
        time.sleep(float(answer.headers["Retry-After"]))
    return UserAnswer(kind, tuple(statuses), 1000 * (time.perf_counter() - started))
