"""The encoder service: texts to vectors over HTTP, in the OpenAI format (`POST /v1/embeddings`).

`/health` says that the process is alive, and `/ready` that the model answers. `/metrics` is for Prometheus.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from sorce.access import is_loopback
from sorce.errors import PluginError
from sorce.mappings import Vector
from sorce.models.model import TextEncoder
from sorce.plugin.cluster.endpoint import KEY_VARIABLE
from sorce.plugin.service import answers, openapi, requests
from sorce.plugin.service.batching import Batcher, Full, WorkerFailed
from sorce.plugin.service.connections import Connections, LimitedSocket, max_connections
from sorce.plugin.service.header_timeout import HeaderTimeout
from sorce.plugin.service.locate_routes import Caller, add_looking
from sorce.plugin.service.locating import Looking
from sorce.plugin.service.log_limit import limit_logs
from sorce.plugin.service.looking import PhotoLooker
from sorce.plugin.service.metrics import ID_HEADER, Metrics, Observer
from sorce.plugin.service.page.guard import BasePath, PageGuard
from sorce.plugin.service.page.routes import add_page
from sorce.plugin.service.page.serving import Page, PageSetup
from sorce.plugin.service.requests import Bodies, Refused

MAX_REQUESTS = 256
"""Maximum requests in progress, counted after they have arrived completely: a slow sender does not block others."""
ANSWER_SECONDS = 300
"""How many seconds a request may wait for the model."""
SHUTDOWN_SECONDS = 20
# Longer than callers keep idle connections (ML Commons: 60 s). Otherwise the service could close a connection just as a
# request arrives.
IDLE_SECONDS = 75


@dataclass(frozen=True)
class Served:
    """What is served: the model's name in requests, its text encoder, and the key that callers need.

    `looker` looks at photos again, for `sorce serve --locate`, and `page` is for `sorce serve --page`.
    """

    name: str
    encoder: TextEncoder
    key: str | None = None
    looker: PhotoLooker | None = None
    page: PageSetup | None = None


def application(served: Served, batcher: Batcher | None = None) -> FastAPI:
    """The service as an ASGI application."""
    batcher = batcher or Batcher(served.encoder)
    # This also warms up the model, so that the first search is not slow.
    dimension = int(served.encoder.embed_texts(["a photo"]).shape[1])
    looking = None if served.looker is None else Looking(served.looker, partial(_vectors, batcher))
    page = None if served.page is None else Page(served.page, served.key, served.encoder, batcher)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        work = asyncio.create_task(batcher.run())
        if page is not None:
            page.encoders.start()
            await asyncio.to_thread(page.warm_up)
        yield
        if page is not None:
            await page.close()
        batcher.close()
        await asyncio.wait([work])
        if looking is not None:
            await asyncio.to_thread(looking.close)

    app = FastAPI(title="sorce encoder", lifespan=lifespan, docs_url=None, redoc_url=None)
    metrics = Metrics(batcher)
    if page is not None:
        app.add_middleware(PageGuard, settings=page.settings, key=served.key, default_index=page.indices.names[0])
    # The last one comes first: what the guard refuses is counted, too.
    app.add_middleware(Observer, metrics=metrics)
    if page is not None:
        app.add_middleware(BasePath, base_path=page.settings.base_path)
    _add_errors(app)
    _add_metrics(app, served, metrics)
    _add_health(app, served.name, dimension, batcher)
    _add_models(app, served)
    bodies = Bodies(requests.MAX_ARRIVING)
    _add_embeddings(app, served, dimension, batcher, bodies)
    if looking is not None:
        add_looking(app, looking, Caller(served.name, served.key, bodies))
    if page is not None:
        add_page(app, page, bodies)
    return app


def _add_errors(app: FastAPI) -> None:
    """Every error is answered in OpenAI's format."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return answers.error(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def no_such_thing(_: Request, error: HTTPException) -> Response:
        # A client whose address of the service lacks /v1 gets this.
        nothing = error.status_code == 404 and error.detail == HTTPStatus(404).phrase
        said = "there is nothing at this path; POST /v1/embeddings encodes texts." if nothing else error.detail
        return answers.error(error.status_code, said, error.headers)

    @app.exception_handler(RequestValidationError)
    async def not_understood(_: Request, error: RequestValidationError) -> Response:
        # Of an address, such as `?w=wide`; bodies are read by the service itself.
        first = error.errors()[0]
        return answers.error(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:  # noqa: ARG001
        # The traceback is in the log. This handler is outside the observer, which names all other answers.
        named = {ID_HEADER: request.state.request_id}
        return answers.error(500, "the service failed; its log says why.", named)


def _add_health(app: FastAPI, name: str, dimension: int, batcher: Batcher) -> None:
    @app.get("/health")
    async def health() -> dict[str, Any]:
        """The process lives."""
        worker = "running" if batcher.is_running else "ended"
        return {
            "status": "ok",
            "model": name,
            "dimension": dimension,
            "waiting": batcher.waiting,
            "worker": worker,
        }

    @app.get("/ready", responses=openapi.refusals(503))
    async def ready() -> dict[str, Any]:
        """The model answers."""
        try:
            await batcher.probe()
        except Full as error:
            raise Refused(503, "not ready: the queue is full, and the model has not answered lately.") from error
        except TimeoutError as error:
            raise Refused(503, "not ready: the model does not answer.") from error
        except WorkerFailed as error:
            raise Refused(503, f"not ready: {error}.") from error
        except Exception as error:
            raise Refused(503, "not ready: the model fails; the service's log says why.") from error
        return {"status": "ready", "model": name}


def _add_metrics(app: FastAPI, served: Served, metrics: Metrics) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def prometheus(request: Request) -> Response:
        """The metrics of this process. Callers on this machine need no key."""
        # Behind a proxy on this machine, uvicorn takes the address from X-Forwarded-For.
        if request.client is None or not is_loopback(request.client.host):
            requests.check_key(request, served.key)
        return Response(metrics.text(), media_type=metrics.content_type)


def _add_models(app: FastAPI, served: Served) -> None:
    created = int(time.time())

    @app.get("/v1/models", responses=openapi.refusals(401), dependencies=openapi.key(served.key))
    async def models(request: Request) -> dict[str, Any]:
        requests.check_key(request, served.key)
        return {"object": "list", "data": [answers.model(served.name, created)]}

    # Names on the hub contain a slash.
    @app.get("/v1/models/{name:path}", responses=openapi.refusals(401, 404), dependencies=openapi.key(served.key))
    async def model(request: Request, name: str) -> dict[str, Any]:
        requests.check_key(request, served.key)
        if name != served.name:
            raise Refused(404, f"model '{name[:100]}' is not served here; this is '{served.name}'.")
        return answers.model(name, created)


def _add_embeddings(app: FastAPI, served: Served, dimension: int, batcher: Batcher, bodies: Bodies) -> None:
    places = asyncio.Semaphore(MAX_REQUESTS)

    @app.post(
        "/v1/embeddings",
        openapi_extra=openapi.body(served.name, dimension),
        responses=openapi.responses(dimension),
        response_model=None,
        dependencies=openapi.key(served.key),
    )
    async def embeddings(request: Request) -> Response:
        requests.check_key(request, served.key)
        asked = requests.parse(await bodies.read(request))
        requests.check(asked, served.name, dimension)
        if places.locked():
            raise Refused(503, "too many requests are in work already; ask again in a second.")
        async with places:
            return answers.embeddings(asked, await _vectors(batcher, asked.texts), served.name)


async def _vectors(batcher: Batcher, texts: Sequence[str]) -> list[Vector]:
    try:
        return await asyncio.wait_for(batcher.vectors(texts), ANSWER_SECONDS)
    except Full as error:
        raise Refused(503, "too many texts wait already; ask again in a second.") from error
    except WorkerFailed as error:
        raise Refused(503, f"{error}; ask again, and see the service's log.") from error
    except TimeoutError as error:
        raise Refused(503, f"the model did not answer within {ANSWER_SECONDS} seconds.") from error
    except Exception as error:
        # The batcher has logged it.
        raise Refused(500, "the model failed on these texts; the service's log says why.") from error


def listen(host: str, port: int, key: str | None) -> socket.socket:
    """The socket of the service; port 0 means any free port. Raises PluginError."""
    if key is None and not is_loopback(host):
        raise PluginError(f"{host} can be reached from other machines; set {KEY_VARIABLE} to the key they must send.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise PluginError(
            f"cannot listen at {host}:{port}: {error.strerror}; give another --host or --port."
        ) from error
    # asyncio sets this only for sockets that it opens itself. An answer's head and body are sent separately. Without
    # this option, the body would wait until the cluster has acknowledged the head: 40 ms. Connections inherit it.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


@dataclass(frozen=True)
class Certificate:
    """The TLS certificate for callers: PEM files of the certificate and of its key. Raises PluginError."""

    certificate: Path
    key: Path

    def __post_init__(self) -> None:
        try:
            # Without a password here, a key that needs one would ask for it at the terminal.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.certificate, self.key, password="")
        except OSError as error:
            raise PluginError(
                f"'{self.certificate}' and '{self.key}' are not a certificate and its key, as PEM that can be read "
                "without a password."
            ) from error


class Server(uvicorn.Server):
    """Limits its connections, and the log records that they can cause."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        limit_logs()
        connections = Connections(max_connections(), self.server_state.connections)
        await super().startup(sockets and [LimitedSocket(each, connections) for each in sockets])


def server(app: FastAPI, shown: Certificate | None = None) -> Server:
    """Runs until stopped, and answers all accepted requests before it ends. Uses TLS if it has a certificate."""
    config = uvicorn.Config(
        app,
        http=HeaderTimeout,
        # Another event loop would accept connections itself and ignore their limit.
        loop="asyncio",
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_certfile=None if shown is None else shown.certificate,
        ssl_keyfile=None if shown is None else shown.key,
    )
    return Server(config)
