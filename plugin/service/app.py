"""The encoder service: texts to vectors over HTTP, in the OpenAI form (`POST /v1/embeddings`)."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sorce.access import is_loopback
from sorce.errors import PluginError
from sorce.mappings import Vector
from sorce.models.model import TextEncoder
from sorce.plugin.cluster.endpoint import KEY_VARIABLE, MOST_CHARACTERS
from sorce.plugin.service.batching import Batcher, Full
from sorce.plugin.service.header_timeout import HeaderTimeout
from sorce.plugin.service.openapi import MOST_TEXTS, body, responses

MOST_REQUESTS = 256
"""In work at a time, from when they have come in whole: who dawdles takes no place from others."""
MOST_BYTES = 4 * 1024 * 1024
"""Of one body."""
MOST_ARRIVING = 64 * MOST_BYTES
"""Bytes of all bodies that are coming in."""
BODY_SECONDS = 10
RETRY_SECONDS = 1
SHUTDOWN_SECONDS = 20
# Longer than callers keep idle connections (ML Commons: 60 s): the service would close one just as a request comes.
IDLE_SECONDS = 75


HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},
    503: {"Retry-After": str(RETRY_SECONDS)},
}
"""What a refusal says beside its sentence, by status."""


class EmbeddingsRequest(BaseModel):
    """The body of `POST /v1/embeddings`."""

    input: str | Annotated[list[str], Field(min_length=1)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


@dataclass(frozen=True)
class Served:
    """What is served: the model's name, as requests may give it, its texts' encoder, and the key that callers need."""

    name: str
    encoder: TextEncoder
    key: str | None = None


class Refused(Exception):
    """A request that is not answered, with its HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def application(served: Served, batcher: Batcher | None = None) -> FastAPI:
    """The service as an ASGI application."""
    batcher = batcher or Batcher(served.encoder)
    places, bodies = asyncio.Semaphore(MOST_REQUESTS), Bodies(MOST_ARRIVING)
    # Also warms the model up, so that the first search is not the slow one.
    dimension = int(served.encoder.embed_texts(["a photo"]).shape[1])

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        work = asyncio.create_task(batcher.run())
        yield
        batcher.close()
        await work

    app = FastAPI(title="sorce encoder", lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _error(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def no_such_thing(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, error.detail, error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:  # noqa: ARG001
        # The log has its traceback.
        return _error(500, "the model failed on these texts; the service's log says why.")

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "model": served.name, "dimension": dimension, "waiting": batcher.waiting}

    @app.post(
        "/v1/embeddings",
        openapi_extra=body(served.name, dimension),
        responses=responses(dimension),
        response_model=None,
        # Only described by it: checked below, in constant time.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if served.key else [],
    )
    async def embeddings(request: Request) -> Response:
        _check_key(request, served.key)
        asked = _parse(await bodies.read(request))
        _check(asked, served.name, dimension)
        if places.locked():
            raise Refused(503, "too many requests are in work already; ask again in a second.")
        async with places:
            try:
                vectors = await batcher.vectors(asked.texts)
            except Full as error:
                raise Refused(503, "too many texts wait already; ask again in a second.") from error
        return _answer(asked, vectors, served.name)

    return app


class Bodies:
    """Reads the bodies of however many requests at a time into so many bytes of memory, all together."""

    def __init__(self, most: int) -> None:
        self._free = most

    async def read(self, request: Request) -> bytes:
        """Raises Refused."""
        try:
            return await asyncio.wait_for(self._read(request), BODY_SECONDS)
        except TimeoutError as error:
            raise Refused(408, f"the request's body took more than {BODY_SECONDS} seconds.") from error
        except ClientDisconnect as error:
            raise Refused(400, "the client went away.") from error

    async def _read(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                self._free -= len(chunk)
                if len(body) > MOST_BYTES:
                    raise Refused(413, f"the request is larger than {MOST_BYTES} bytes; send fewer texts at a time.")
                if self._free < 0:
                    raise Refused(503, "too much is coming in already; ask again in a second.")
        finally:
            self._free += len(body)
        return bytes(body)


def _parse(body: bytes) -> EmbeddingsRequest:
    try:
        return EmbeddingsRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refused(400, f"the body is not JSON: {first['msg']}") from error
        named = first["loc"][0] if first["loc"] else "body"
        wanted = "give a text, or a list of at least one text." if named == "input" else first["msg"]
        raise Refused(422, f"{named}: {wanted}") from error


def _check(asked: EmbeddingsRequest, name: str, dimension: int) -> None:
    if asked.model not in (None, name):
        raise Refused(404, f"model '{asked.model[:100]}' is not served here; this is '{name}'.")
    if asked.dimensions not in (None, dimension):
        raise Refused(422, f"dimensions: this model's vectors have {dimension}.")
    if len(asked.texts) > MOST_TEXTS:
        raise Refused(413, f"input: {len(asked.texts)} texts; send at most {MOST_TEXTS} at a time.")
    if any(len(text) > MOST_CHARACTERS for text in asked.texts):
        raise Refused(413, f"input: a text is longer than {MOST_CHARACTERS} characters; shorten it.")
    if not all(text.strip() for text in asked.texts):
        raise Refused(422, "input: a text is empty; leave it out.")


def _check_key(request: Request, key: str | None) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    right = key is None or (scheme.lower() == "bearer" and hmac.compare_digest(given.encode("latin-1"), key.encode()))
    if not right:
        raise Refused(401, "the Authorization header does not hold this service's key as a bearer token.")


def _answer(asked: EmbeddingsRequest, vectors: list[Vector], name: str) -> Response:
    encoded = (
        [b64encode(vector.tobytes()).decode() for vector in vectors] if asked.encoding_format == "base64" else vectors
    )
    # Words stand for tokens: the OpenAI form wants a number here, and nobody is billed by it.
    words = sum(len(text.split()) for text in asked.texts)
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(encoded)],
        "model": name,
        "usage": {"prompt_tokens": words, "total_tokens": words},
    }
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def _error(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    headers = HEADERS.get(status, headers)
    body = {"error": {"message": sentence, "type": kind, "param": None, "code": status}}
    return Response(json.dumps(body), status, headers, media_type="application/json")


def listen(host: str, port: int, key: str | None) -> socket.socket:
    """The socket of the service; port 0 takes a free one. Raises PluginError."""
    if key is None and not is_loopback(host):
        raise PluginError(f"{host} can be reached from other machines; set {KEY_VARIABLE} to the key they must send.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise PluginError(
            f"cannot listen at {host}:{port}: {error.strerror}; give another --host or --port."
        ) from error
    # asyncio does that for sockets that it opens itself. Head and body of an answer are sent apart, and the body would
    # wait until the cluster has acknowledged the head, which it puts off for 40 ms. Connections inherit it.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


@dataclass(frozen=True)
class Certificate:
    """What the service shows to callers over TLS: PEM files of the certificate and of its key. Raises PluginError."""

    certificate: Path
    key: Path

    def __post_init__(self) -> None:
        try:
            # Without a password given here, a key that has one would be asked for at the terminal.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.certificate, self.key, password="")
        except OSError as error:
            raise PluginError(
                f"'{self.certificate}' and '{self.key}' are not a certificate and its key, as PEM that can be read "
                "without a password."
            ) from error


def server(app: FastAPI, shown: Certificate | None = None) -> uvicorn.Server:
    """Runs until told to stop, and answers before it ends what it took in. Speaks TLS where it has a certificate."""
    config = uvicorn.Config(
        app,
        http=HeaderTimeout,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_certfile=None if shown is None else shown.certificate,
        ssl_keyfile=None if shown is None else shown.key,
    )
    return uvicorn.Server(config)
