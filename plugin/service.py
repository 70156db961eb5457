"""The encoder service: texts to vectors over HTTP, in the OpenAI form (`POST /v1/embeddings`)."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Any, Literal

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

from sorce.errors import PluginError
from sorce.mappings import Vector
from sorce.models.model import TextEncoder
from sorce.plugin.batching import Batcher, Full
from sorce.plugin.endpoint import KEY_VARIABLE, MOST_CHARACTERS

MOST_TEXTS = 256
MOST_BYTES = 4 * 1024 * 1024
BODY_SECONDS = 10
RETRY_SECONDS = 1
SHUTDOWN_SECONDS = 20


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
        return _error(error.status_code, error.detail)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "model": served.name, "dimension": dimension, "waiting": batcher.waiting}

    @app.post("/v1/embeddings", openapi_extra=_body_description(), response_model=None, responses=_responses())
    async def embeddings(request: Request) -> Response:
        _check_key(request, served.key)
        asked = _parse(await _body(request))
        _check(asked, served.name, dimension)
        try:
            vectors = await batcher.vectors(asked.texts)
        except Full as error:
            raise Refused(503, "too many texts wait already; ask again in a second.") from error
        return _answer(asked, vectors, served.name)

    return app


async def _body(request: Request) -> bytes:
    try:
        return await asyncio.wait_for(_bounded(request), BODY_SECONDS)
    except asyncio.TimeoutError as error:
        raise Refused(408, f"the request's body took more than {BODY_SECONDS} seconds.") from error


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refused(413, f"the request is larger than {MOST_BYTES} bytes; send fewer texts at a time.")
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
        raise Refused(404, f"model '{asked.model}' is not served here; this is '{name}'.")
    if asked.dimensions not in (None, dimension):
        raise Refused(422, f"dimensions: this model's vectors have {dimension}.")
    if len(asked.texts) > MOST_TEXTS:
        raise Refused(413, f"input: {len(asked.texts)} texts; send at most {MOST_TEXTS} at a time.")
    if any(len(text) > MOST_CHARACTERS for text in asked.texts):
        raise Refused(413, f"input: a text is longer than {MOST_CHARACTERS} characters; shorten it.")
    if not all(text.strip() for text in asked.texts):
        raise Refused(422, "input: a text is empty; leave it out.")


def _check_key(request: Request, key: str | None) -> None:
    given = request.headers.get("Authorization", "").encode("latin-1")
    if key is not None and not hmac.compare_digest(given, f"Bearer {key}".encode()):
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


def _error(status: int, sentence: str) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    headers = {503: {"Retry-After": str(RETRY_SECONDS)}, 401: {"WWW-Authenticate": "Bearer"}}.get(status)
    body = {"error": {"message": sentence, "type": kind, "param": None, "code": status}}
    return Response(json.dumps(body), status, headers, media_type="application/json")


def _body_description() -> dict[str, Any]:
    schema = EmbeddingsRequest.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _responses() -> dict[int | str, dict[str, Any]]:
    reasons = {
        400: "not JSON",
        401: "no or another key",
        404: "another model",
        408: "a body that does not arrive",
        413: "too many, too long",
        422: "not the OpenAI form",
        503: "busy: see Retry-After",
    }
    return {status: {"description": why} for status, why in reasons.items()}


def is_loopback(host: str) -> bool:
    """Whether an address to listen at is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int, key: str | None) -> socket.socket:
    """The socket of the service; port 0 takes a free one. Raises PluginError."""
    if key is None and not is_loopback(host):
        raise PluginError(f"{host} can be reached from other machines; set {KEY_VARIABLE} to the key they must send.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise PluginError(
            f"cannot listen at {host}:{port}: {error.strerror}; give another --host or --port."
        ) from error


def server(app: FastAPI) -> uvicorn.Server:
    """Runs until told to stop, and answers before it ends what it took in."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS)
    return uvicorn.Server(config)
