"""Finds and misses of a benchmark as pictures: what came first, and what should have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sorce.evaluate.ask import Ask
from sorce.evaluate.protocols import AskedQuery
from sorce.pictures.drawing import save

MOST = 10
"""Queries of each kind, spread evenly over the benchmark's."""


def draw(asked: Sequence[AskedQuery], ask: Ask, folder: Path) -> None:
    """Writes a folder per query below `finds` and `misses`; the truth's boxes are white."""
    kinds = {"finds": [one for one in asked if one.is_find], "misses": [one for one in asked if one.is_miss]}
    for kind, those in kinds.items():
        for number, one in enumerate(_spread(those), 1):
            text = one.query.text
            hits = [*one.hits, *ask.shown(text, one.right)]
            place = folder / kind / f"{number:02} {_file_name(text)}"
            title = f"{text}: {one.verdict}{', shown last' if one.right else ''}"
            save(hits, place, None, title, one.query.answers)


def _spread(asked: Sequence[AskedQuery]) -> Sequence[AskedQuery]:
    return [asked[number * len(asked) // MOST] for number in range(MOST)] if len(asked) > MOST else asked


def _file_name(text: str) -> str:
    return re.sub(r"[^\w -]", "", text)[:60].strip()
