"""A localiser that several threads may use."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from sorce.mappings import Localiser, Located, LocateRequest


class TakingTurns:
    """One thread looks at a time; the others wait."""

    def __init__(self, localiser: Localiser) -> None:
        self._localiser = localiser
        self._turn = Lock()

    @property
    def name(self) -> str:
        return self._localiser.name

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        with self._turn:
            return self._localiser.locate(requests, boxes, min_score)
