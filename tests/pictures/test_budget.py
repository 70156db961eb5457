"""The limit on pixels in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from sorce.pictures.budget import PixelBudget


def test_a_picture_waits_until_there_are_pixels_for_it() -> None:
    budget, held = PixelBudget(10), Event()

    def hold() -> None:
        with budget.holding(5):
            held.set()

    with ThreadPoolExecutor(1) as thread:
        with budget.holding(6), budget.holding(4):
            waiting = thread.submit(hold)
            assert not held.is_set()
        waiting.result(60)
    assert held.is_set()


def test_a_picture_beyond_the_budget_is_alone() -> None:
    budget = PixelBudget(10)
    with budget.holding(1000):
        assert budget._free == 0
    with budget.holding(10):
        assert budget._free == 0
