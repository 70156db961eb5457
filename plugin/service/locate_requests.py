"""Requests to look at photos again: their two forms, checked."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sorce.errors import QueryError
from sorce.mappings.limits import MAX_KEYWORD_BYTES
from sorce.mappings.request import SearchRequest
from sorce.pictures.source import photo_id_of
from sorce.plugin.cluster.locate import MAX_PHOTOS
from sorce.plugin.cluster.template import NOTS, PHRASES
from sorce.plugin.service.looking import AskedPhoto, LookRequest
from sorce.plugin.service.requests import Refused

Body = TypeVar("Body", bound=BaseModel)

Uri = Annotated[str, Field(min_length=1, max_length=MAX_KEYWORD_BYTES)]


class PhotoDocument(BaseModel):
    """A document of `/v1/rerank` that is a photo."""

    model_config = ConfigDict(extra="ignore")
    image: Uri


class RerankRequest(BaseModel):
    """The body of `POST /v1/rerank`: photos by their URIs. Other fields that clients send are ignored."""

    query: str
    documents: Annotated[list[Uri | PhotoDocument], Field(min_length=1, max_length=MAX_PHOTOS)]
    top_n: Annotated[int, Field(ge=1)] | None = None
    model: str | None = None

    def look(self) -> LookRequest:
        """Raises Refused."""
        uris = [each if isinstance(each, str) else each.image for each in self.documents]
        return LookRequest([AskedPhoto(photo_id_of(uri), uri) for uri in uris], search([self.query]))


class LocateBody(BaseModel):
    """The body of `POST /v1/locate`: the hits of a search. `params` are the parameters of the stored template.

    A document that sorce did not write may have anything as its id and URI. It costs no other hit its second look.
    """

    uris: Annotated[list[Any], Field(max_length=MAX_PHOTOS)]
    ids: list[Any]
    texts: Annotated[list[str], Field(min_length=1)]
    params: dict[str, Any] | None = None
    model: str | None = None

    def look(self) -> LookRequest:
        """What to look at: at most the first `locate` hits. Raises Refused."""
        if len(self.ids) != len(self.uris):
            raise Refused(422, "ids: give one for each of uris.")
        given = {name: _number(value) for name, value in (self.params or {}).items() if value not in (None, "")}
        nots = [given[name] for name in NOTS if name in given]
        phrases = [given[name] for name in PHRASES if name in given] or self.texts
        most, clauses = given.get("locate", len(self.uris)), given.get("filter", [])
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise Refused(422, "params: locate is a whole number, 0 or more.")
        if not isinstance(clauses, list) or not all(isinstance(each, dict) for each in clauses):
            raise Refused(422, "params: filter is a list of clauses.")
        least = given.get("min_located_score", 0.0)
        if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
            raise Refused(422, "params: min_located_score is a number from 0 to 1.")
        more = {name: given[name] for name in ("rank", "debias") if name in given}
        photos = [AskedPhoto(*map(_text, each)) for each in zip(self.ids, self.uris, strict=True)]
        request = search(phrases, nots, boxes=given.get("instances", 1), **more)
        return LookRequest(photos[:most], request, clauses, least)


def _text(value: Any) -> str:
    """Of several values the first. Anything that names no photo is the empty text."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) and len(first.encode(errors="replace")) <= MAX_KEYWORD_BYTES else ""


def _number(value: Any) -> Any:
    """JSON has one kind of number, so 1.0 is a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parsed(kind: type[Body], body: bytes) -> Body:
    """Raises Refused."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refused(400, f"the body is not JSON: {first['msg']}") from error
        if first["type"] == "too_long":
            raise Refused(413, f"{first['loc'][0]}: send at most {first['ctx']['max_length']:,} at a time.") from error
        raise Refused(422, f"{first['loc'][0] if first['loc'] else 'body'}: {first['msg']}") from error


def search(phrases: list[str], nots: list[str] | None = None, **more: Any) -> SearchRequest:
    """Raises Refused."""
    try:
        return SearchRequest(phrases, nots or [], **more)
    except (QueryError, TypeError) as error:
        raise Refused(422, str(error)) from error
