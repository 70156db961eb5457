"""The answers of the service, in OpenAI's format."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response

from sorce.mappings import Vector
from sorce.plugin.service.requests import EmbeddingsRequest

RETRY_SECONDS = 1

HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},
    503: {"Retry-After": str(RETRY_SECONDS)},
}
"""The fields of an error besides its sentence, by status."""


def embeddings(asked: EmbeddingsRequest, vectors: list[Vector], name: str) -> Response:
    encoded = (
        [b64encode(vector.tobytes()).decode() for vector in vectors] if asked.encoding_format == "base64" else vectors
    )
    # Counts words in place of tokens: the OpenAI format requires a number here, and nobody is billed by it.
    words = sum(len(text.split()) for text in asked.texts)
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(encoded)],
        "model": name,
        "usage": {"prompt_tokens": words, "total_tokens": words},
    }
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def model(name: str, created: int) -> dict[str, Any]:
    """A model as `GET /v1/models` lists it; `created` is the time when the service started, in seconds since 1970."""
    return {"id": name, "object": "model", "created": created, "owned_by": "sorce"}


def error(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    headers = headers or HEADERS.get(status)
    body = {"error": {"message": sentence, "type": kind, "param": None, "code": status}}
    return Response(json.dumps(body), status, headers, media_type="application/json")
