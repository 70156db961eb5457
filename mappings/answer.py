"""OpenSearch's answer to a search as hits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sorce.mappings.limits import MAX_BOXES
from sorce.mappings.query import COSINE
from sorce.mappings.ranking import PLAIN, Ranking
from sorce.mappings.values import Box, Hit, Match

TOO_ALIKE = 0.5
"""Boxes of a photo that overlap a better one by this IoU or more are left out of what is shown."""


def boxes_to_fetch(boxes: int) -> int:
    """How many regions to ask for so that, overlapping ones left out, about `boxes` remain."""
    return boxes if boxes == 1 else min(4 * boxes, MAX_BOXES)


def hits(answer: Mapping[str, Any], boxes: int, nots: int, ranking: Ranking = PLAIN) -> list[Hit]:
    """The hits of an answer to a search with so many "not", best first, each with at most `boxes` boxes per phrase.

    Raises KeyError where something else ranked the answer.
    """
    return [_hit(found, boxes, nots, ranking) for found in answer["hits"]["hits"]]


def _hit(found: Mapping[str, Any], boxes: int, nots: int, ranking: Ranking) -> Hit:
    inner = found["inner_hits"]
    matches = tuple(
        tuple(apart((_match(region, ranking) for region in inner[name]["hits"]["hits"]), boxes))
        for name in sorted(inner)
    )
    fields = {name: values[0] for name, values in found["fields"].items()}
    return Hit(score=found["_score"] - ranking.base(len(matches), nots), matches=matches, **fields)


def _match(region: Mapping[str, Any], ranking: Ranking) -> Match:
    field = {name.removeprefix("regions."): values[0] for name, values in region["fields"].items()}
    return Match(
        region_id=field["id"],
        box=Box(field["x1"], field["y1"], field["x2"], field["y2"]),
        kind=field["kind"],
        area=field["area"],
        quality=field["quality"],
        similarity=region["_score"] - 1 if ranking.is_plain else field[COSINE],
    )


def apart(matches: Iterable[Match], most: int) -> list[Match]:
    """The best of the matches (given best first) that do not overlap a better one too much."""
    kept: list[Match] = []
    for match in matches:
        if len(kept) == most:
            break
        if all(match.box.iou(better.box) < TOO_ALIKE for better in kept):
            kept.append(match)
    return kept
