"""A figure of a benchmark: a mean over queries, with the interval in which another draw of queries would put it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 1000
SEED = 0
LEVEL = 0.95
AT_ONCE = 4_000_000
"""Draws in memory at a time."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over `over` values with its bootstrap interval; None where there is nothing to take it over."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    over: int


def figure(name: str, values: Sequence[ArrayLike]) -> Figure:
    """The mean of all values; each query gives one or several (or none), and queries are drawn, not values.

    The draws depend on the number of queries only: recipes are compared on the same ones.
    """
    parts = [np.atleast_1d(np.asarray(part, np.float64)) for part in values]
    sums, counts = np.array([part.sum() for part in parts]), np.array([len(part) for part in parts], np.float64)
    over = int(counts.sum())
    if not over:
        return Figure(name, None, None, None, 0)
    means = drawn_means(sums, counts)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(name, float(sums.sum() / over), float(low), float(high), over)


def drawn_means(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of ROUNDS draws of queries with replacement, less those that hold no value at all."""
    rng = np.random.default_rng(SEED)
    means, step = [], max(1, AT_ONCE // len(sums))
    for start in range(0, ROUNDS, step):
        picks = rng.integers(len(sums), size=(min(step, ROUNDS - start), len(sums)))
        drawn, over = sums[picks].sum(axis=1), counts[picks].sum(axis=1)
        means.append(drawn[over > 0] / over[over > 0])
    return np.concatenate(means)
