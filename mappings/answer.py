"""Turns OpenSearch's answer to a search into hits.

Anyone who may write to an index decides what its documents hold, so the answer is checked. A photo that cannot be shown
is left out and named; the others are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from sorce.mappings.hits import Hit, Hits, LeftOut, Match
from sorce.mappings.query import COSINE, Query
from sorce.mappings.ranking import Ranking
from sorce.mappings.regions import VECTOR
from sorce.mappings.values import Box

_SIDES = tuple(f"regions.{side}" for side in ("x1", "y1", "x2", "y2"))
_NUMBERS = (float, int)

TOO_ALIKE = 0.5
"""Boxes of a photo that overlap a better one by this IoU or more are not shown."""

_ROUNDED = 1e-3
"""Rounding can bring a cosine of float32 unit vectors above 1, but by less than this."""

_NO_VECTOR = "the vector of one of its regions is missing, or not of unit length"


class OtherRanking(Exception):
    """The answer was not ranked as requested."""


class _Malformed(Exception):
    """What is wrong with a document, as half a sentence."""


def read_hits(answer: Mapping[str, Any], query: Query) -> Hits:
    """The hits of an answer to this query, best first, each with at most `boxes` boxes per phrase.

    Raises OtherRanking.
    """
    found: list[Hit] = []
    left_out: list[LeftOut] = []
    for each in answer["hits"]["hits"]:
        try:
            found.append(_hit(each, query))
        except _Malformed as error:
            left_out.append(LeftOut(str(each["_id"]), str(error)))
    return Hits(tuple(found), tuple(left_out), shortfall(answer))


def shortfall(answer: Mapping[str, Any]) -> str | None:
    """Why an answer does not cover the whole index; None if it does."""
    shards = answer["_shards"]
    # A shard without a copy counts as neither successful nor failed.
    missing = shards["total"] - shards["successful"]
    if missing or shards.get("failed"):
        causes = {str(each.get("reason", {}).get("reason")) for each in shards.get("failures", ())}
        why = "; ".join(sorted(causes)) or "they have no copy that is started"
        return f"{max(missing, shards.get('failed', 0))} of {shards['total']} shards did not answer ({why})"
    return "it ran out of time" if answer.get("timed_out") else None


def _hit(found: Mapping[str, Any], query: Query) -> Hit:
    inner, fields = found.get("inner_hits", {}), found.get("fields", {})
    matches = tuple(
        tuple(
            non_max_suppression(
                (_match(each, query.ranking) for each in inner[name]["hits"]["hits"]), query.request.boxes
            )
        )
        for name in sorted(inner)
        if name != VECTOR
    )
    # A document of schema 1 does not name its recipe.
    if query.recipe_hash is not None and fields.get("recipe_hash", [query.recipe_hash]) != [query.recipe_hash]:
        raise _Malformed("it was made by another recipe than the index's")
    if not all(matches):
        raise _Malformed("it has no region to show")
    score = found["_score"]
    if not isinstance(score, _NUMBERS) or not isfinite(score):
        raise _Malformed(_NO_VECTOR)
    return Hit(
        photo_id=_text(fields, "photo_id"),
        uri=_text(fields, "uri"),
        file_name=_text(fields, "file_name"),
        folder=_text(fields, "folder"),
        width=_size(fields, "width"),
        height=_size(fields, "height"),
        score=score - query.ranking.base(len(matches), len(query.nots)),
        matches=matches,
    )


def _match(region: Mapping[str, Any], ranking: Ranking) -> Match:
    fields = region.get("fields", {})
    similarity = _similarity(region, fields, ranking)
    sides = [_number(fields, side) for side in _SIDES]
    if not (sides[0] < sides[2] and sides[1] < sides[3]):
        raise _Malformed("the box of one of its regions has no area")
    return Match(
        region_id=int(_number(fields, "regions.id")),
        box=Box(*sides),
        kind=_text(fields, "regions.kind"),  # type: ignore[arg-type]
        area=_number(fields, "regions.area"),
        quality=_number(fields, "regions.quality"),
        similarity=similarity,
    )


def _similarity(region: Mapping[str, Any], fields: Mapping[str, Any], ranking: Ranking) -> float:
    if ranking.is_plain:
        score = region["_score"]
        # A region without a vector gets exactly 0.
        cosine = score - 1 if isinstance(score, _NUMBERS) and score else None
    elif COSINE not in fields:
        raise OtherRanking
    else:
        [cosine] = fields[COSINE]
    if not isinstance(cosine, _NUMBERS) or not abs(cosine) <= 1 + _ROUNDED:
        raise _Malformed(_NO_VECTOR)
    return cosine


def _value(fields: Mapping[str, Any], name: str) -> Any:
    values = fields.get(name)
    if not values:
        region, dot, field = name.partition(".")
        raise _Malformed(f"one of its regions has no {field}" if dot else f"its document has no {region}")
    return values[0]


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = _value(fields, name)
    if not isinstance(value, str):
        raise _Malformed(f"its {name} is {value!r}, which is not text")
    return value


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = _value(fields, name)
    if isinstance(value, bool) or not isinstance(value, _NUMBERS) or not isfinite(value):
        raise _Malformed(f"its {name} is {value!r}, which is not a number")
    return value


def _size(fields: Mapping[str, Any], name: str) -> int:
    value = _number(fields, name)
    if value < 1:
        raise _Malformed(f"its {name} is {value} pixels")
    return int(value)


def non_max_suppression(matches: Iterable[Match], most: int) -> list[Match]:
    """Non-maximum suppression: the best matches (given best first) that do not overlap a better one too much."""
    kept: list[Match] = []
    for match in matches:
        if len(kept) == most:
            break
        if all(match.box.iou(better.box) < TOO_ALIKE for better in kept):
            kept.append(match)
    return kept
