"""Hits for a person, and for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sorce.mappings import Hit, Match

HEAD = ("rank", "score", "similarity", "quality", "box", "kind", "area", "photo")


UNPROVED = "~"


def table(hits: Sequence[Hit]) -> str:
    """A line for each box; a photo's first line bears its rank and score, and a mark where the rank is not proved."""
    rows = [row for rank, hit in enumerate(hits, 1) for row in _rows(rank, hit)]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (HEAD, *rows))
    note = [f"{UNPROVED} unproved: a photo that was no candidate might rank before this one."]
    return "\n".join([*(line.rstrip() for line in lines), *(note if any(hit.unproved for hit in hits) else [])])


def as_json(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """One object for each hit, in order of rank; `matches` has a list for each phrase."""
    return [
        {
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
        for rank, hit in enumerate(hits, 1)
    ]


def _rows(rank: int, hit: Hit) -> Iterator[tuple[str, ...]]:
    first = (f"{rank}{UNPROVED if hit.unproved else ''}", f"{hit.score:.4f}")
    place = "/".join(part for part in (hit.folder.rstrip("/"), hit.file_name) if part)
    for matches in hit.matches:
        for match in matches:
            box = ",".join(f"{side:.0f}" for side in match.box.as_tuple())
            yield (
                *first,
                f"{match.similarity:.4f}",
                f"{match.quality:.2f}",
                box,
                match.kind,
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
