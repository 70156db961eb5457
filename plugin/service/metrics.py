"""Counts, times and names each request of the service: metrics in Prometheus's form, and an access log.

sorce_requests_total{route,code}   requests answered
sorce_request_seconds{route}       seconds from a request's head to the end of its answer
sorce_queue_texts                  texts that wait for the encoder now
sorce_batch_texts                  texts that the encoder got at once
"""

from __future__ import annotations

import logging
import re
import time
from typing import Any
from uuid import uuid4

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sorce.plugin.service.batching import BATCH, Batcher
from sorce.terminal import printable

ID_HEADER = "X-Request-ID"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OTHER = "other"
"""The route of all paths that the service does not have: anyone can invent paths, and each label takes memory."""
_MAX_SHOWN = 200

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_TEXTS = (1, 2, 4, 8, 16, 32, BATCH)

access_log = logging.getLogger("sorce.service.access")


class Metrics:
    """The metrics of one application, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, batcher: Batcher) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("sorce_requests", "Requests answered.", ["route", "code"], registry=registry)
        self._seconds = Histogram(
            "sorce_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        queue = Gauge("sorce_queue_texts", "Texts that wait for the encoder.", registry=registry)
        queue.set_function(lambda: batcher.waiting)
        batch = Histogram("sorce_batch_texts", "Texts that the encoder got at once.", buckets=_TEXTS, registry=registry)
        batcher.on_batch = batch.observe

    def text(self) -> bytes:
        """All metrics, in Prometheus's text form."""
        return generate_latest(self._registry)

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Counts one request."""
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)


class Observer:
    """ASGI middleware: gives each request an id, which the answer repeats, and counts and logs it when it is answered.

    A caller's own id in `X-Request-ID` is kept if it has at most 64 letters, digits, dots, dashes or underscores.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ID_HEADER, "")
        request_id = given if _ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        # An error that reaches the outermost handler is answered with 500.
        code, started = 500, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.answered(_route(scope), code, seconds)
            _log(scope, code, seconds, request_id)


def _route(scope: Scope) -> str:
    path: Any = getattr(scope.get("route"), "path", None)
    return str(path) if path else _OTHER


def _log(scope: Scope, code: int, seconds: float, request_id: str) -> None:
    # Without the query, which may hold what someone searched for.
    path = printable(str(scope["path"])[:_MAX_SHOWN])
    client = (scope.get("client") or ("-",))[0]
    access_log.info('%s "%s %s" %d %.1f ms %s', client, scope["method"], path, code, 1000 * seconds, request_id)
