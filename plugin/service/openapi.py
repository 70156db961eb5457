"""The service's OpenAPI description: what it accepts, what it answers, and all its errors."""

from __future__ import annotations

from typing import Any

from fastapi import Depends
from fastapi.security import HTTPBearer

from sorce.mappings.limits import MAX_BOXES, MAX_KEYWORD_BYTES
from sorce.mappings.ranking import MAX_DEBIAS, RANKS
from sorce.mappings.request import MAX_NOTS, MAX_PHRASES
from sorce.plugin.cluster.endpoint import MAX_CHARACTERS
from sorce.plugin.cluster.locate import MAX_PHOTOS
from sorce.plugin.cluster.template import TEXTS

MAX_TEXTS = 2048
"""Maximum texts per request: the same as OpenAI's."""

Json = dict[str, Any]

# Not blank by Python's `strip`: other regular expressions do not treat some control characters as white space.
TEXT: Json = {"type": "string", "maxLength": MAX_CHARACTERS, "pattern": r"[^\s\u001c-\u001f\u0085]"}
URI: Json = {"type": "string", "minLength": 1, "maxLength": MAX_KEYWORD_BYTES}
COUNT: Json = {"type": "integer", "minimum": 0}
NUMBER: Json = {"type": "number"}
BOX: Json = {"type": ["array", "null"], "items": NUMBER, "minItems": 4, "maxItems": 4}

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


def key(key: str | None) -> list[Any]:
    """Only describes the key: `requests.check_key` compares it, in constant time."""
    return [Depends(HTTPBearer(auto_error=False))] if key else []


def body(name: str, dimension: int) -> Json:
    """The body of `POST /v1/embeddings`, for the model of this name."""
    return {"requestBody": {"required": True, "content": _json(_request(name, dimension))}}


def responses(dimension: int) -> dict[int | str, Json]:
    """The possible answers, by status."""
    found = {"description": "a vector for each text, in order", "content": _json(_answer(dimension))}
    return {200: found, **refusals(*REFUSALS)}


def rerank_body(names: list[str]) -> Json:
    """The body of `POST /v1/rerank`, for the service with these names."""
    image = {"type": "object", "properties": {"image": URI}, "required": ["image"]}
    fields = {
        "query": TEXT,
        "documents": {"type": "array", "items": {"anyOf": [URI, image]}, "minItems": 1, "maxItems": MAX_PHOTOS},
        "top_n": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        "model": {"enum": [*names, None]},
    }
    schema = {"type": "object", "properties": fields, "required": ["query", "documents"]}
    return {"requestBody": {"required": True, "content": _json(schema)}}


def locate_body(names: list[str]) -> Json:
    """The body of `POST /v1/locate`, for the service with these names."""
    # A schema cannot say that there are as many ids as uris, nor that `texts` are phrases only if `params` names none.
    # The cluster sends what it found, and all texts. A document may have anything as its id and URI.
    fields = {
        "uris": {"type": "array", "items": {}, "maxItems": MAX_PHOTOS},
        "ids": {"type": "array", "items": {}},
        "texts": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": MAX_PHRASES + MAX_NOTS},
        "params": {"type": ["object", "null"], "properties": _template_params()},
        "model": {"enum": [*names, None]},
    }
    schema = {"type": "object", "properties": fields, "required": ["uris", "ids", "texts"]}
    return {"requestBody": {"required": True, "content": _json(schema)}}


def _template_params() -> Json:
    """The parameters of the stored template that change the answer; empty ones count as absent."""
    given = {
        **dict.fromkeys(TEXTS, TEXT),
        "filter": {"type": "array", "items": {"type": "object"}},
        "rank": {"enum": list(RANKS)},
        "debias": {"type": "number", "minimum": 0, "maximum": MAX_DEBIAS},
        "locate": COUNT,
        "instances": {"type": "integer", "minimum": 1, "maximum": MAX_BOXES},
        "min_located_score": NUMBER,
    }
    return {name: {"anyOf": [schema, {"enum": ["", None]}]} for name, schema in given.items()}


def look_responses(what: str, results: Json) -> dict[int | str, Json]:
    """The possible answers of both, by status."""
    found = {"description": what, "content": _json(results)}
    return {200: found, **refusals(*REFUSALS)}


def rerank_answer() -> Json:
    result = _object(index=COUNT, relevance_score=NUMBER, box=BOX) | {"additionalProperties": True}
    return _object(model={"type": "string"}, usage=_object(total_tokens=COUNT), results=_several(result))


def locate_answer() -> Json:
    result = _object(score=NUMBER, box=BOX) | {"additionalProperties": True}
    return _object(asked=COUNT, results=_several(result))


def refusals(*statuses: int) -> dict[int | str, Json]:
    """The error answers with these statuses."""
    said: dict[int | str, Json] = {status: {"description": REFUSALS[status], "content": ERROR} for status in statuses}
    if 503 in said:
        said[503]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return said


def _request(name: str, dimension: int) -> Json:
    texts = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": MAX_TEXTS}
    fields = {
        "input": {"anyOf": [TEXT, texts]},
        "model": {"enum": [name, None]},
        "encoding_format": {"enum": ["float", "base64", None]},
        "dimensions": {"enum": [dimension, None]},
        "user": {"type": ["string", "null"]},
    }
    return {"type": "object", "properties": fields, "required": ["input"]}


def _answer(dimension: int) -> Json:
    numbers = {"type": "array", "items": NUMBER, "minItems": dimension, "maxItems": dimension}
    vector = _object(
        object={"const": "embedding"}, index={"type": "integer"}, embedding={"anyOf": [numbers, {"type": "string"}]}
    )
    return _object(
        object={"const": "list"},
        data={"type": "array", "items": vector, "minItems": 1, "maxItems": MAX_TEXTS},
        model={"type": "string"},
        usage=_object(prompt_tokens=COUNT, total_tokens=COUNT),
    )


def _object(**fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _several(item: Json) -> Json:
    return {"type": "array", "items": item, "maxItems": MAX_PHOTOS}


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
