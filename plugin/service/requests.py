"""Requests to the service: read into limited memory; refused with a status and a sentence."""

from __future__ import annotations

import asyncio
import hmac
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from sorce.plugin.cluster.endpoint import MAX_CHARACTERS
from sorce.plugin.service.openapi import MAX_TEXTS

MAX_BYTES = 16 * 1024 * 1024
"""Maximum bytes of one body: 2,048 texts of 2,000 characters, most of which take at most four bytes."""
MAX_ARRIVING = 16 * MAX_BYTES
"""Maximum bytes of all bodies that are arriving."""
BODY_SECONDS = 10


class EmbeddingsRequest(BaseModel):
    """The body of `POST /v1/embeddings`. Clients send null for an optional field that they leave out."""

    input: str | Annotated[list[str], Field(min_length=1)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class Refused(Exception):
    """A refused request, with its HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Bodies:
    """Reads the bodies of all requests, with a limit on their total memory."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    async def read(self, request: Request, most: int = MAX_BYTES, patience: int = 1) -> bytes:
        """A body of at most so many bytes, which takes at most `patience` times BODY_SECONDS. Raises Refused."""
        seconds = patience * BODY_SECONDS
        try:
            return await asyncio.wait_for(self._read(request, most), seconds)
        except TimeoutError as error:
            raise Refused(408, f"the request's body took more than {seconds:g} seconds.") from error
        except ClientDisconnect as error:
            raise Refused(400, "the client went away.") from error

    async def _read(self, request: Request, most: int) -> bytes:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                self._free -= len(chunk)
                if len(body) > most:
                    raise Refused(413, f"the request is larger than {most} bytes; send less at a time.")
                if self._free < 0:
                    raise Refused(503, "too much is coming in already; ask again in a second.")
        finally:
            self._free += len(body)
        return bytes(body)


def parse(body: bytes) -> EmbeddingsRequest:
    """Raises Refused."""
    try:
        return EmbeddingsRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refused(400, f"the body is not JSON: {first['msg']}") from error
        named = first["loc"][0] if first["loc"] else "body"
        if named != "input":
            raise Refused(422, f"{named}: {first['msg']}") from error
        if _holds_token_ids(from_json(body).get("input")):
            raise Refused(422, "input holds token ids; send texts.") from error
        raise Refused(422, "input: give a text, or a list of at least one text.") from error


def _holds_token_ids(given: Any) -> bool:
    """OpenAI's format also accepts token numbers, as one list or one list per text."""
    first = given[0] if isinstance(given, list) and given else None
    if isinstance(first, list):
        first = first[0] if first else None
    return isinstance(first, int) and not isinstance(first, bool)


def check(asked: EmbeddingsRequest, name: str, dimension: int) -> None:
    """Raises Refused for what this service, for the model of this name, does not answer."""
    if asked.model not in (None, name):
        raise Refused(404, f"model '{asked.model[:100]}' is not served here; this is '{name}'.")
    if asked.dimensions not in (None, dimension):
        raise Refused(
            422,
            f"dimensions: this model's vectors have {dimension}; serve an index that was made with --dimension.",
        )
    if len(asked.texts) > MAX_TEXTS:
        raise Refused(413, f"input: {len(asked.texts)} texts; send at most {MAX_TEXTS} at a time.")
    if any(len(text) > MAX_CHARACTERS for text in asked.texts):
        raise Refused(413, f"input: a text is longer than {MAX_CHARACTERS} characters; shorten it.")
    if not all(text.strip() for text in asked.texts):
        raise Refused(422, "input: a text is empty; leave it out.")


def has_key(request: Request, key: str) -> bool:
    """Whether the request contains the key, as a bearer token."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode("latin-1"), key.encode())


def check_key(request: Request, key: str | None) -> None:
    """Raises Refused unless the request contains the key, if one is set."""
    if key is not None and not has_key(request, key):
        raise Refused(401, "the Authorization header does not hold this service's key as a bearer token.")
