"""`POST /v1/rerank` and `POST /v1/locate`, for `sorce serve --locate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from sorce.plugin.service import openapi, requests
from sorce.plugin.service.locate_requests import LocateBody, RerankRequest, parsed
from sorce.plugin.service.locating import Looking, located_results, reranked
from sorce.plugin.service.requests import Bodies, Refused

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True)
class Caller:
    """What a caller must know, the model's name and the key, and how its body is read."""

    name: str
    key: str | None
    bodies: Bodies

    async def read(self, request: Request, kind: type[Body]) -> Body:
        """Raises Refused."""
        requests.check_key(request, self.key)
        return parsed(kind, await self.bodies.read(request))


def add_looking(app: FastAPI, looking: Looking, caller: Caller) -> None:
    names = list(dict.fromkeys([caller.name, looking.name]))

    @app.post(
        "/v1/rerank",
        openapi_extra=openapi.rerank_body(names),
        responses=openapi.look_responses("the photos, best first, each with its box", openapi.rerank_answer()),
        response_model=None,
        dependencies=openapi.key(caller.key),
    )
    async def rerank(request: Request) -> Response:
        asked = await caller.read(request, RerankRequest)
        _refuse_other(asked.model, names)
        results = reranked(await looking.look(asked.look()), asked.top_n)
        words = len(asked.query.split())
        return _json({"model": looking.name, "usage": {"total_tokens": words}, "results": results})

    @app.post(
        "/v1/locate",
        openapi_extra=openapi.locate_body(names),
        responses=openapi.look_responses("a number and a box for each photo, in order", openapi.locate_answer()),
        response_model=None,
        dependencies=openapi.key(caller.key),
    )
    async def locate(request: Request) -> Response:
        asked = await caller.read(request, LocateBody)
        _refuse_other(asked.model, names)
        return _json(located_results(await looking.look(asked.look()), len(asked.uris)))


def _refuse_other(model: str | None, names: list[str]) -> None:
    if model is not None and model not in names:
        raise Refused(404, f"model '{model[:100]}' is not served here; this is {' and '.join(names)}.")


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
