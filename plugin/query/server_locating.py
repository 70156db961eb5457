"""The second stage in the cluster: what its localiser saw, read from the answer of the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sorce.errors import QueryError
from sorce.mappings import Box, Hits, Instance, Located, Seen
from sorce.mappings.query import Json
from sorce.mappings.request import SearchRequest
from sorce.plugin.cluster.locate import MAX_PHOTOS
from sorce.plugin.query.locating import refuse_other_scores

FAILED = (
    "the cluster's localiser failed, so the hits are in the index's order, without located boxes; "
    "`sorce plugin status --index {}` says why"
)

Answers = Mapping[str, tuple[Seen | None, int]]
"""By photo: what was seen, None for a photo that was not looked at, and the rank in the index's order."""


@dataclass(frozen=True, slots=True)
class ServerStage:
    """How many of the first hits the cluster's localiser looks at; `min_score` as of the client's second stage."""

    most: int
    min_score: float = 0.0

    def __post_init__(self) -> None:
        """Raises QueryError."""
        refuse_other_scores(self.min_score)

    def params(self, request: SearchRequest) -> Json:
        """Parameters of the stored template, besides those of the search (`with_enough`). Raises QueryError."""
        if request.size > MAX_PHOTOS:
            raise QueryError(
                f"the cluster has all hits looked at in one call, and {request.size} are too many; "
                f"ask for a --size (with --from) of at most {MAX_PHOTOS}, or search with --client."
            )
        # A search that begins later begins after the hits that are looked at.
        return {
            "locate": 0 if request.start else self.most,
            "instances": request.boxes,
            "min_located_score": self.min_score,
        }


def split_answer(answer: Mapping[str, Any]) -> tuple[Json, Answers | None]:
    """The answer as of a plain search, and what was seen; None if the localiser failed for any hit."""
    hits = answer["hits"]["hits"]
    try:
        # By the id that the hit will have: in the source it may be a number, or a list.
        seen = {hit["fields"]["photo_id"][0]: _seen(hit["_source"]["located"]) for hit in hits}
        plain = [{**hit, "_score": hit["_source"]["previous_score"]} for hit in hits]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError):
        return _plain(answer), None
    return {**answer, "hits": {**answer["hits"], "hits": plain}}, seen


def _plain(answer: Mapping[str, Any]) -> Json:
    """In the index's order and with its scores: `rerank` puts its own in their place."""
    hits = [
        {**hit, "_score": hit.get("_source", {}).get("previous_score", hit["_score"])} for hit in answer["hits"]["hits"]
    ]
    return {**answer, "hits": {**answer["hits"], "hits": sorted(hits, key=lambda hit: -hit["_score"])}}


def with_seen(hits: Hits, seen: Answers | None, index: str, start: int) -> Hits:
    """The hits with what was seen, or with a note that nothing was. The first has the index's rank `start` + 1."""
    if not hits:
        return hits
    if seen is None:
        ranked = tuple(replace(hit, index_rank=rank) for rank, hit in enumerate(hits, start + 1))
        return replace(hits, found=ranked, notes=(*hits.notes, f"{FAILED.format(index)}."))
    found = ((hit, *seen[hit.photo_id]) for hit in hits)
    return replace(hits, found=tuple(replace(hit, seen=it, index_rank=start + rank) for hit, it, rank in found))


def _seen(found: Mapping[str, Any]) -> tuple[Seen | None, int]:
    rank = int(found["rank"])
    if found.get("reason") is not None:
        return Seen(reason=str(found["reason"])), rank
    if found["box"] is None:
        return None, rank
    return Seen(float(found["score"]), tuple(map(_located, found["located"]))), rank


def _located(found: Mapping[str, Any]) -> Located:
    instances = tuple(Instance(_box(each["box"]), float(each["score"])) for each in found["instances"])
    return Located(_box(found["box"]), float(found["score"]), tuple(map(_box, found["steps"])), instances)


def _box(sides: Iterable[Any]) -> Box:
    return Box(*map(float, sides))
