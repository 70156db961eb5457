"""Formats hits for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import Any

from sorce.mappings import Hit, Hits, Match
from sorce.mappings.request import SearchRequest
from sorce.terminal import printable

HEAD = ("rank", "score", "similarity", "quality", "box", "kind", "area", "photo")

UNPROVED = "~"


def table(hits: Sequence[Hit], phrases: Sequence[str]) -> str:
    """One line per box; a photo's first line has its rank and score.

    With several phrases, each box has the letter of its phrase, and the letters are explained below.
    """
    several = len(phrases) > 1
    head = ("rank", "score", "phrase", *HEAD[2:]) if several else HEAD
    rows = [row for rank, hit in enumerate(hits, 1) for row in _rows(rank, hit, several)]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    below = [f"{letter}: {printable(text)}" for letter, text in zip(ascii_lowercase, phrases, strict=False) if several]
    if any(hit.unproved for hit in hits):
        below.append(f"{UNPROVED} unproved: a photo that was no candidate might rank before this one.")
    return "\n".join([*(line.rstrip() for line in lines), *below])


def notes(hits: Hits) -> list[str]:
    """Sentences that say which hits may be missing, and why."""
    incomplete = [f"incomplete: {hits.incomplete}; photos may be missing."] if hits.incomplete else []
    return [*incomplete, *(f"note: {each}" for each in hits.left_out), *(f"note: {each}" for each in hits.notes)]


def as_json(hits: Hits, asked: SearchRequest) -> dict[str, Any]:
    """`hits` has one object per hit, in order of rank; its `matches` has a list for each of `phrases`."""
    return {
        "phrases": list(asked.phrases),
        "hits": [_hit(rank, hit) for rank, hit in enumerate(hits, 1)],
        "left_out": [{"photo_id": each.photo_id, "reason": each.reason} for each in hits.left_out],
        "incomplete": hits.incomplete,
        "notes": list(hits.notes),
    }


def _hit(rank: int, hit: Hit) -> dict[str, Any]:
    return {
        "rank": rank,
        "score": hit.score,
        "unproved": hit.unproved,
        "photo_id": hit.photo_id,
        "uri": hit.uri,
        "file_name": hit.file_name,
        "folder": hit.folder,
        "width": hit.width,
        "height": hit.height,
        "matches": [[_match(match) for match in matches] for matches in hit.matches],
    }


def _rows(rank: int, hit: Hit, several: bool) -> Iterator[tuple[str, ...]]:
    first = (f"{rank}{UNPROVED if hit.unproved else ''}", f"{hit.score:.4f}")
    place = printable("/".join(part for part in (hit.folder.rstrip("/"), hit.file_name) if part))
    for letter, matches in zip(ascii_lowercase, hit.matches, strict=False):
        for match in matches:
            box = ",".join(f"{side:.0f}" for side in match.box.as_tuple())
            yield (
                *first,
                *((letter,) if several else ()),
                f"{match.similarity:.4f}",
                f"{match.quality:.2f}",
                box,
                printable(match.kind),
                f"{match.area:.2%}",
                place,
            )
            first, place = ("", ""), ""


def _match(match: Match) -> dict[str, Any]:
    return {
        "region_id": match.region_id,
        "box": list(match.box.as_tuple()),
        "kind": match.kind,
        "area": match.area,
        "quality": match.quality,
        "similarity": match.similarity,
    }
