"""The service's OpenAPI description: what it accepts, what it answers, and all its errors."""

from __future__ import annotations

from typing import Any

from sorce.plugin.cluster.endpoint import MOST_CHARACTERS

MOST_TEXTS = 2048
"""Maximum texts per request: the same as OpenAI's."""

Json = dict[str, Any]

REFUSALS: dict[int, str] = {
    400: "not JSON",
    401: "no or another key",
    404: "another model",
    408: "a body that does not arrive",
    413: "too many, too long",
    422: "not the OpenAI form",
    500: "the model failed",
    503: "busy: ask again after as many seconds as Retry-After says",
}


def body(name: str, dimension: int) -> Json:
    """The body of `POST /v1/embeddings`, for the model of this name."""
    return {"requestBody": {"required": True, "content": _json(_request(name, dimension))}}


def responses(dimension: int) -> dict[int | str, Json]:
    """The possible answers, by status."""
    found = {"description": "a vector for each text, in order", "content": _json(_answer(dimension))}
    return {200: found, **refusals(*REFUSALS)}


def refusals(*statuses: int) -> dict[int | str, Json]:
    """The error answers with these statuses."""
    said: dict[int | str, Json] = {status: {"description": REFUSALS[status], "content": ERROR} for status in statuses}
    if 503 in said:
        said[503]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return said


def _request(name: str, dimension: int) -> Json:
    # Not blank by Python's `strip`: other regular expressions do not treat some control characters as white space.
    text = {"type": "string", "maxLength": MOST_CHARACTERS, "pattern": r"[^\s\u001c-\u001f\u0085]"}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": MOST_TEXTS}
    fields = {
        "input": {"anyOf": [text, texts]},
        "model": {"enum": [name, None]},
        "encoding_format": {"enum": ["float", "base64", None]},
        "dimensions": {"enum": [dimension, None]},
        "user": {"type": ["string", "null"]},
    }
    return {"type": "object", "properties": fields, "required": ["input"]}


def _answer(dimension: int) -> Json:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": dimension, "maxItems": dimension}
    vector = _object(
        object={"const": "embedding"}, index={"type": "integer"}, embedding={"anyOf": [numbers, {"type": "string"}]}
    )
    count = {"type": "integer", "minimum": 0}
    return _object(
        object={"const": "list"},
        data={"type": "array", "items": vector, "minItems": 1, "maxItems": MOST_TEXTS},
        model={"type": "string"},
        usage=_object(prompt_tokens=count, total_tokens=count),
    )


def _object(**fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


ERROR = _json(
    _object(
        error=_object(
            message={"type": "string", "minLength": 1},
            type={"enum": ["invalid_request_error", "server_error"]},
            param={"type": "null"},
            code={"type": "integer"},
        )
    )
)
