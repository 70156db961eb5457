"""Pictures of found and missed queries of a benchmark: the photo that came first, and the photo that should have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sorce.evaluate.protocols import QueryResult
from sorce.evaluate.retrievers import Retriever
from sorce.pictures.drawing import save

MAX_DRAWN = 10
"""Queries of each kind (found, missed), spread evenly over the benchmark's queries."""


def draw(queries: Sequence[QueryResult], retriever: Retriever, folder: Path) -> list[str]:
    """Writes a folder per query below `finds` and `misses`. The boxes of the ground truth are white.

    Returns a sentence for each query with photos that could not be opened. Raises SorceError where the folder cannot
    be written to.
    """
    warnings = []
    kinds = {
        "finds": [each for each in queries if each.is_found],
        "misses": [each for each in queries if each.is_missed],
    }
    for kind, those in kinds.items():
        for number, result in enumerate(_spread(those), 1):
            text = result.query.text
            hits = [*result.hits, *retriever.locate(text, result.not_among_hits)]
            place = folder / kind / f"{number:02} {_file_name(text)}"
            title = f"{text}: {result.summary}{', shown last' if result.not_among_hits else ''}"
            drawn = save(hits, place, None, [title], result.query.answers)
            if drawn.warning is not None:
                warnings.append(f"{text}: {drawn.warning}")
    return warnings


def _spread(queries: Sequence[QueryResult]) -> Sequence[QueryResult]:
    if len(queries) <= MAX_DRAWN:
        return queries
    return [queries[number * len(queries) // MAX_DRAWN] for number in range(MAX_DRAWN)]


def _file_name(text: str) -> str:
    return re.sub(r"[^\w -]", "", text)[:60].strip()
