"""Formats hits for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import Any

from sorce.mappings import Hit, Hits
from sorce.mappings.request import SearchRequest
from sorce.terminal import printable

HEAD = ("rank", "score", "similarity", "quality", "region", "box", "kind", "area", "photo")

ID_SHOWN = 8
"""How many digits of a photo id the table shows: enough for `--like-region`."""

SECOND_STAGE = ("index rank", "things", "located", "located box")
"""Columns of a second stage, before the photo. "things" is the number of places given for the phrase; the located box
is that of the first."""

UNPROVED = "~"
SAME = "="


def table(hits: Sequence[Hit], labels: Sequence[str], start: int = 0) -> str:
    """One line per box; a photo's first line has its rank and score. `start` photos were left out before the first.

    With several phrases or examples, each box has the letter of its own, and the letters are explained below.
    Near-duplicates that were folded stand below their photo, without a rank.
    """
    several = len(labels) > 1
    head = ("rank", "score", "phrase", *HEAD[2:]) if several else HEAD
    rows = [row for rank, hit in enumerate(hits, start + 1) for row in _rows(rank, hit, several)]
    if any(hit.seen is not None for hit in hits):
        head = (*head[:-1], *SECOND_STAGE, head[-1])
        cells = [each for hit in hits for each in _second_stage(hit)]
        rows = [(*row[:-1], *more, row[-1]) for row, more in zip(rows, cells, strict=True)]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    below = [f"{letter}: {printable(text)}" for letter, text in zip(ascii_lowercase, labels, strict=False) if several]
    if any(hit.unproved for hit in hits):
        below.append(f"{UNPROVED} unproved: a photo that was no candidate might rank before this one.")
    if any(hit.duplicates for hit in hits):
        below.append(f"{SAME} a near-duplicate of the photo above it.")
    return "\n".join([*(line.rstrip() for line in lines), *below])


def notes(hits: Hits) -> list[str]:
    """Sentences that say which hits may be missing, and why."""
    incomplete = [f"incomplete: {hits.incomplete}; photos may be missing."] if hits.incomplete else []
    return [*incomplete, *(f"note: {each}" for each in hits.left_out), *(f"note: {each}" for each in hits.notes)]


def as_json(hits: Hits, asked: SearchRequest) -> dict[str, Any]:
    """`hits` has one object per hit, in order of rank. Its `matches` has a list for each of `phrases` and of `like`."""
    return {
        "phrases": list(asked.phrases),
        "nots": list(asked.nots),
        "like": [each.label for each in asked.like],
        "not_like": [each.label for each in asked.not_like],
        "hits": [{"rank": rank, **hit.as_dict()} for rank, hit in enumerate(hits, asked.start + 1)],
        "left_out": [{"photo_id": each.photo_id, "reason": each.reason} for each in hits.left_out],
        "incomplete": hits.incomplete,
        "notes": list(hits.notes),
    }


def _rows(rank: int, hit: Hit, several: bool) -> Iterator[tuple[str, ...]]:
    first = (f"{rank}{UNPROVED if hit.unproved else ''}", f"{hit.score:.4f}")
    yield from _lines(first, hit, several)
    for duplicate in hit.duplicates:
        yield from _lines((SAME, f"{duplicate.score:.4f}"), duplicate, several)


def _lines(first: tuple[str, str], hit: Hit, several: bool) -> Iterator[tuple[str, ...]]:
    place = printable("/".join(part for part in (hit.folder.rstrip("/"), hit.file_name) if part))
    for letter, matches in zip(ascii_lowercase, hit.matches, strict=False):
        for match in matches:
            box = ",".join(f"{side:.0f}" for side in match.box.as_tuple())
            yield (
                *first,
                *((letter,) if several else ()),
                f"{match.similarity:.4f}",
                f"{match.quality:.2f}",
                f"{printable(hit.photo_id[:ID_SHOWN])}/{match.region_id}",
                box,
                printable(match.kind),
                f"{match.area:.2%}",
                place,
            )
            first, place = ("", ""), ""


def _second_stage(hit: Hit) -> Iterator[tuple[str, str, str, str]]:
    """Cells for each row of the hit: what was seen stands beside the phrase's best box."""
    rank = "" if hit.index_rank is None else str(hit.index_rank)
    for number, matches in enumerate(hit.matches):
        found = hit.seen.located[number] if hit.seen and number < len(hit.seen.located) else None
        for place in range(len(matches)):
            if place or found is None:
                yield rank, "", "", ""
            else:
                box = ",".join(f"{side:.0f}" for side in found.box.as_tuple())
                yield rank, str(len(found.instances)), f"{found.score:.4f}", box
            rank = ""
    for duplicate in hit.duplicates:
        yield from (("", "", "", "") for matches in duplicate.matches for _ in matches)
