"""Latencies and throughput of several ways to search, measured in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

Ask = Callable[[int], object]
"""Runs the query with this number."""


@dataclass(frozen=True)
class Latencies:
    """The milliseconds of each query, one list per round."""

    rounds: Sequence[Sequence[float]]

    def percentile(self, share: float) -> float:
        return float(np.percentile(np.concatenate(self.rounds), share))

    @property
    def p50(self) -> float:
        return self.percentile(50)

    def over(self, other: Latencies) -> tuple[float, str]:
        """The median over the rounds of the ratio of p50s. The smallest and largest ratio are given in words."""
        ratios = [np.median(mine) / np.median(theirs) for mine, theirs in zip(self.rounds, other.rounds, strict=True)]
        return float(statistics.median(ratios)), f"{len(ratios)} rounds from {min(ratios):.2f} to {max(ratios):.2f}"


def latencies(asks: Mapping[str, Ask], queries: int, rounds: int, in_a_row: int = 1) -> dict[str, Latencies]:
    """All ways run each query, in random order, before the next query. So other load affects all of them alike.

    A round is `queries // rounds` queries. Some ways evict one another's data from the CPU's caches, unlike in real
    use. They run several queries `in_a_row`.
    """
    rng = np.random.default_rng(0)
    each = queries // rounds
    taken = {name: [list[float]() for _ in range(rounds)] for name in asks}
    for name in asks:
        for query in range(each):
            asks[name](query)
    for number in range(rounds):
        for first in range(0, each, in_a_row):
            for name in rng.permutation(list(asks)).tolist():
                for query in range(first, min(first + in_a_row, each)):
                    taken[name][number].append(milliseconds(asks[name], number * each + query))
    return {name: Latencies(rounds) for name, rounds in taken.items()}


def milliseconds(ask: Ask, query: int) -> float:
    """How long one query takes."""
    started = time.perf_counter()
    ask(query)
    return 1000 * (time.perf_counter() - started)


def throughput(asks: Mapping[str, Ask], queries: int, clients: int, rounds: int) -> dict[str, float]:
    """Queries per second with `clients` clients at once: the median over the rounds."""
    taken = {name: list[float]() for name in asks}
    with ThreadPoolExecutor(clients) as pool:
        for number in range(rounds):
            for name in np.roll(list(asks), number).tolist():
                started = time.perf_counter()
                for _ in pool.map(asks[name], range(queries)):
                    pass
                taken[name].append(queries / (time.perf_counter() - started))
    return {name: statistics.median(figures) for name, figures in taken.items()}
