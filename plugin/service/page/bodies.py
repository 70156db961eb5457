"""The JSON of a search by the page, checked, as a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sorce.errors import QueryError
from sorce.mappings import Box
from sorce.mappings.example import Example
from sorce.mappings.filters import Filter
from sorce.mappings.limits import MAX_BOXES, MAX_CANDIDATES
from sorce.mappings.ranking import SIMILARITY
from sorce.mappings.request import SearchRequest
from sorce.plugin.service.requests import Refused

MAX_SIZE = 200
"""Most photos of one answer; the page asks for more when they are needed."""
MAX_LOOKED_AT = 100

Sides = Annotated[list[float], Field(min_length=4, max_length=4)]


class LikeBody(BaseModel):
    """An example: a region of the index, a part of one of its photos, or a picture that was sent before."""

    model_config = ConfigDict(extra="forbid")
    photo_id: str | None = None
    region_id: int | None = None
    box: Sides | None = None
    upload: str | None = None

    @property
    def part(self) -> Box | None:
        """Raises Refused."""
        return None if self.box is None else box_of(self.box)


class SearchBody(BaseModel):
    """The body of `POST /api/search`. Fields have the names of `SearchRequest`.

    With `photo_ids` only these photos are compared. `shown` are the ids of photos that earlier pages of hits have
    shown: near-duplicates are folded under these, too.
    """

    model_config = ConfigDict(extra="forbid")
    index: str | None = None
    phrases: list[str] = []
    nots: list[str] = []
    like: list[LikeBody] = []
    not_like: list[LikeBody] = []
    filter: dict[str, Any] = {}
    boxes: Annotated[int, Field(ge=1, le=MAX_BOXES)] = 1
    min_similarity: float | None = None
    rank: str = SIMILARITY
    debias: float = 0.0
    locate: Annotated[int, Field(ge=0, le=MAX_LOOKED_AT)] = 0
    fold: float | None = None
    photo_ids: Annotated[list[str], Field(min_length=1, max_length=MAX_SIZE)] | None = None
    shown: Annotated[list[str], Field(max_length=MAX_CANDIDATES)] = []
    start: Annotated[int, Field(alias="from", ge=0)] = 0
    size: Annotated[int, Field(ge=1, le=MAX_SIZE)] = 50

    def request(self, example: Callable[[LikeBody], Example], folder: Callable[[str], str]) -> SearchRequest:
        """The search. `example` opens an example, and `folder` gives the index's folder. Raises QueryError."""
        return SearchRequest(
            self.phrases,
            self.nots,
            [example(each) for each in self.like],
            [example(each) for each in self.not_like],
            start=self.start,
            size=self.size,
            boxes=self.boxes,
            filter=self._filter(folder),
            min_similarity=self.min_similarity,
            rank=self.rank,
            debias=self.debias,
            fold=self.fold,
            # The page marks an answer that lacks photos; without this it would show none.
            allow_partial=True,
        )

    def _filter(self, folder: Callable[[str], str]) -> Filter:
        given = {name: value for name, value in self.filter.items() if value is not None}
        if isinstance(given.get("folder"), str):
            given["folder"] = folder(given["folder"])
        excluded = given.get("exclude_folder", [])
        given["exclude_folder"] = [folder(each) for each in _texts("exclude_folder", excluded)]
        try:
            return Filter(**given)
        except TypeError as error:
            raise QueryError(f"filter: {_plain(error)}.") from error


def box_of(sides: Sequence[float]) -> Box:
    """Raises Refused."""
    try:
        return Box(*sides)
    except ValueError as error:
        raise Refused(422, "box: give left, top, right and bottom, in pixels of the photo.") from error


def _texts(name: str, given: Any) -> list[str]:
    several = [given] if isinstance(given, str) else given
    if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
        raise QueryError(f"{name} is {str(given)[:80]}; give texts.")
    return several


def _plain(error: TypeError) -> str:
    """Python's message about an unknown name, without the class."""
    _, _, said = str(error).rpartition("__init__() ")
    return said.replace("got an unexpected keyword argument", "there is no condition")
