import numpy as np
import pytest

from sorce.evaluate.figures import Figure, drawn_means, figure


def test_a_figure_is_the_mean_of_all_values_of_all_queries():
    assert figure("x", [[1, 0, 0], [], [1]]).value == 0.5
    assert figure("x", [[1, 0, 0], [], [1]]).over == 4


def test_the_interval_is_as_wide_as_theory_says():
    found = figure("x", [True, False] * 200)
    # Of 400 coins: 1.96 standard errors of 0.025 to each side.
    assert found.low == pytest.approx(0.5 - 0.049, abs=0.01)
    assert found.high == pytest.approx(0.5 + 0.049, abs=0.01)


def test_queries_are_drawn_and_not_their_values():
    few = figure("x", [[1.0] * 100, [0.0] * 100] * 5)
    many = figure("x", [1.0, 0.0] * 500)
    assert few.high - few.low > 5 * (many.high - many.low)


def test_the_same_queries_are_drawn_for_every_recipe():
    first = drawn_means(np.arange(10.0), np.ones(10))
    np.testing.assert_array_equal(drawn_means(np.arange(10.0) + 1, np.ones(10)), first + 1)


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    together = drawn_means(np.arange(10.0), np.ones(10))
    monkeypatch.setattr("sorce.evaluate.figures.AT_ONCE", 70)
    np.testing.assert_array_equal(drawn_means(np.arange(10.0), np.ones(10)), together)


def test_a_figure_over_nothing_has_no_value():
    assert figure("x", [[], []]) == Figure("x", None, None, None, 0)
