"""Pictures of found and missed queries of a benchmark: the photo that came first, and the photo that should have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sorce.errors import SorceError
from sorce.evaluate.protocols import QueryResult
from sorce.evaluate.retrievers import Retriever
from sorce.pictures.drawing import save

MAX_DRAWN = 10
"""Queries of each kind (found, missed), spread evenly over the benchmark's queries."""


def draw(queries: Sequence[QueryResult], retriever: Retriever, folder: Path) -> None:
    """Writes a folder per query below `finds` and `misses`. The boxes of the ground truth are white.

    Raises SorceError where the folder cannot be written to.
    """
    with _writing(folder):
        _draw(queries, retriever, folder)


def make_folder(folder: Path) -> None:
    """Raises SorceError."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SorceError(
            f"nothing can be drawn into '{folder}': {error.strerror or error}; name another folder with --save."
        ) from error


def _draw(queries: Sequence[QueryResult], retriever: Retriever, folder: Path) -> None:
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
            save(hits, place, None, [title], result.query.answers)


def _spread(queries: Sequence[QueryResult]) -> Sequence[QueryResult]:
    if len(queries) <= MAX_DRAWN:
        return queries
    return [queries[number * len(queries) // MAX_DRAWN] for number in range(MAX_DRAWN)]


def _file_name(text: str) -> str:
    return re.sub(r"[^\w -]", "", text)[:60].strip()
