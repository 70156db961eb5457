"""A metric of a benchmark: a mean over queries, with its confidence interval by bootstrap over the queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 1000
SEED = 0
LEVEL = 0.95
MAX_DRAWS = 4_000_000
"""The greatest number of drawn query numbers in memory at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Metric:
    """The mean of `over` values, and the low and high end of its interval. All are None where there are no values."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    over: int


def mean_over_queries(name: str, values: Sequence[ArrayLike]) -> Metric:
    """The mean of all values. Each query gives none, one or several.

    The interval is by bootstrap: queries are drawn with replacement, not values. The draws depend only on the number of
    queries, so that recipes are compared on the same draws.
    """
    parts = [np.atleast_1d(np.asarray(part, np.float64)) for part in values]
    sums, counts = np.array([part.sum() for part in parts]), np.array([len(part) for part in parts], np.float64)
    over = int(counts.sum())
    if not over:
        return Metric(name, None, None, None, 0)
    means = drawn_means(sums, counts)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Metric(name, float(sums.sum() / over), float(low), float(high), over)


def drawn_means(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means of ROUNDS draws of queries with replacement. Draws without any value are left out.

    `sums` and `counts` are (queries,): the sum and the number of each query's values.
    """
    rng = np.random.default_rng(SEED)
    means, step = [], max(1, MAX_DRAWS // len(sums))
    for start in range(0, ROUNDS, step):
        picks = rng.integers(len(sums), size=(min(step, ROUNDS - start), len(sums)))
        drawn, over = sums[picks].sum(axis=1), counts[picks].sum(axis=1)
        means.append(drawn[over > 0] / over[over > 0])
    return np.concatenate(means)
