"""Localisers that several threads may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class Localisers:
    """Localisers by name, each opened once: a detector takes seconds to load."""

    def __init__(self, open_one: Callable[[str], Localiser]) -> None:
        self._open, self._opened = open_one, dict[str, Localiser]()
        self._lock = Lock()

    def of(self, name: str) -> Localiser:
        with self._lock:
            if name not in self._opened:
                self._opened[name] = TakingTurns(self._open(name))
            return self._opened[name]
