"""A proxy in front of a real OpenSearch. It treats requests as networks, gateways and busy clusters do."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

HELD = 30.0
"""The longest time that an answer is held back, in seconds. The client waits less long, and disconnects."""


class Droppable(H11Protocol):
    """Gives the application its connection, so that it can break it."""

    def connection_made(self, transport: Any) -> None:
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


@dataclass(frozen=True)
class Bulk:
    """A bulk request on its way to the cluster."""

    request: Request
    body: bytes
    upstream: str

    async def written(self, body: bytes | None = None) -> httpx.Response:
        """The cluster's answer to the request, or to a part of it."""
        url = f"{self.upstream}{self.request.url.path}?{self.request.url.query}"
        kept = {"content-type": self.request.headers.get("content-type", "application/json")}
        async with httpx.AsyncClient(timeout=60, trust_env=False, verify=False) as client:
            content = self.body if body is None else body
            return await client.request(self.request.method, url, content=content, headers=kept)

    def cut(self) -> None:
        """Breaks the connection."""
        self.request.state.transport.abort()


async def drop_before(bulk: Bulk) -> Response:
    """The connection breaks before the cluster has seen the request."""
    bulk.cut()
    return Response()


async def drop_after(bulk: Bulk) -> Response:
    """The cluster has written everything, but the client gets no answer."""
    await bulk.written()
    bulk.cut()
    return Response()


async def drop_half_way(bulk: Bulk) -> Response:
    """The connection breaks in the middle of the answer."""
    whole = (await bulk.written()).content

    async def half() -> AsyncIterator[bytes]:
        yield whole[: len(whole) // 2]
        # Sent out before the connection breaks.
        await asyncio.sleep(0.01)
        bulk.cut()

    return StreamingResponse(half(), headers={"content-length": str(len(whole))}, media_type="application/json")


async def half_answer(bulk: Bulk) -> Response:
    """An incomplete answer that claims to be complete."""
    whole = (await bulk.written()).content
    return Response(whole[: len(whole) // 2], media_type="application/json")


async def slow(bulk: Bulk) -> Response:
    """A few bytes at a time."""
    whole = (await bulk.written()).content

    async def dribble() -> AsyncIterator[bytes]:
        step = 1 + len(whole) // 20
        for start in range(0, len(whole), step):
            yield whole[start : start + step]
            await asyncio.sleep(0.02)

    return StreamingResponse(dribble(), media_type="application/json")


async def late(bulk: Bulk) -> Response:
    """Everything is written, but the answer comes after the client has stopped waiting."""
    found = await bulk.written()
    until = time.monotonic() + HELD
    while time.monotonic() < until and not await bulk.request.is_disconnected():
        await asyncio.sleep(0.05)
    return plain(found)


async def gateway_timeout(bulk: Bulk) -> Response:
    """The gateway gave up waiting; the cluster did not."""
    await bulk.written()
    return refusal(504)


async def web_page(_: Bulk) -> Response:
    """A web page of the gateway."""
    return Response("<html>try again</html>", media_type="text/html")


async def large(bulk: Bulk) -> Response:
    """A gateway that accepts at most two documents at once."""
    guards = 3
    return refusal(413) if bulk.body.count(b"\n") > guards + 4 else plain(await bulk.written())


KINDS: dict[str, Callable[[Bulk], Awaitable[Response]]] = {
    "dropped before": drop_before,
    "dropped after": drop_after,
    "dropped half way": drop_half_way,
    "half an answer": half_answer,
    "slow": slow,
    "late": late,
    "504 though written": gateway_timeout,
    "a web page": web_page,
    "413 where large": large,
}
"""Also possible: a status such as `503` for the request, or `item 429` for every second one of its documents."""


@dataclass
class Faults:
    """`plan` says what happens to the n-th request to `on`, from 0; None lets it pass. `done` counts the faults."""

    upstream: str
    plan: Callable[[int], str | None]
    on: str = "/_bulk"
    done: Counter[str] = field(default_factory=Counter)
    asked: int = 0

    async def answer(self, request: Request) -> Response:
        bulk, kind = Bulk(request, await request.body(), self.upstream), None
        if request.url.path.endswith(self.on):
            kind, self.asked = self.plan(self.asked), self.asked + 1
        if kind is None:
            return plain(await bulk.written())
        self.done[kind] += 1
        if kind in KINDS:
            return await KINDS[kind](bulk)
        if kind.startswith("item "):
            return await items(bulk, int(kind.removeprefix("item ")))
        return refusal(int(kind))


REASONS = {
    403: ("security_exception", "no permissions for [indices:data/write/bulk]"),
    413: ("too_large", "Request Entity Too Large"),
    429: ("rejected_execution_exception", "rejected execution of coordinating operation"),
}


def refusal(status: int) -> Response:
    kind, reason = REASONS.get(status, ("some_exception", "because"))
    cause = {"type": kind, "reason": reason}
    return JSONResponse({"error": {"root_cause": [cause], **cause}, "status": status}, status)


def plain(found: httpx.Response) -> Response:
    return Response(found.content, found.status_code, media_type=found.headers.get("content-type"))


async def items(bulk: Bulk, status: int) -> Response:
    """Every second document is refused with this status and not sent to the cluster."""
    actions = list(bulk_actions(bulk.body))
    documents = [place for place, (action, _) in enumerate(actions) if b'"sorce-guard"' not in action]
    refused = set(documents[::2])
    taken = b"".join(lines for place, (_, lines) in enumerate(actions) if place not in refused)
    answers = iter((await bulk.written(taken)).json()["items"])
    kind, reason = REASONS.get(status, ("mapper_parsing_exception", "failed to parse field"))
    refusal = {"index": {"status": status, "error": {"type": kind, "reason": reason}}}
    merged = [refusal if place in refused else next(answers) for place in range(len(actions))]
    return JSONResponse({"errors": True, "items": merged})


def bulk_actions(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """For each action: its own line, and all its lines."""
    lines = iter(body.splitlines(keepends=True))
    for line in lines:
        yield line, line if b'"delete"' in line[:10] else line + next(lines)


@contextmanager
def faulty(upstream: str, plan: Callable[[int], str | None], on: str = "/_bulk") -> Iterator[tuple[str, Faults]]:
    """The proxy's address, and its faults."""
    faults = Faults(upstream, plan, on)
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    app = Starlette(routes=[Route("/{path:path}", faults.answer, methods=methods)])
    config = uvicorn.Config(app, http=Droppable, log_level="critical", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", faults
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
    assert not thread.is_alive()
