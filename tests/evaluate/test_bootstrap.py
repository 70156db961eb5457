import numpy as np
import pytest

from sorce.evaluate.bootstrap import Metric, drawn_means, mean_over_queries


def test_a_metric_is_the_mean_of_all_values_of_all_queries():
    assert mean_over_queries("x", [[1, 0, 0], [], [1]]).value == 0.5
    assert mean_over_queries("x", [[1, 0, 0], [], [1]]).over == 4


def test_the_interval_is_as_wide_as_theory_says():
    found = mean_over_queries("x", [True, False] * 200)
    # For 400 coins: 1.96 standard errors of 0.025 on each side.
    assert found.low == pytest.approx(0.5 - 0.049, abs=0.01)
    assert found.high == pytest.approx(0.5 + 0.049, abs=0.01)


def test_queries_are_drawn_and_not_their_values():
    few = mean_over_queries("x", [[1.0] * 100, [0.0] * 100] * 5)
    many = mean_over_queries("x", [1.0, 0.0] * 500)
    assert few.high - few.low > 5 * (many.high - many.low)


def test_the_same_queries_are_drawn_for_every_recipe():
    first = drawn_means(np.arange(10.0), np.ones(10))
    np.testing.assert_array_equal(drawn_means(np.arange(10.0) + 1, np.ones(10)), first + 1)


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    together = drawn_means(np.arange(10.0), np.ones(10))
    monkeypatch.setattr("sorce.evaluate.bootstrap.MAX_DRAWS", 70)
    np.testing.assert_array_equal(drawn_means(np.arange(10.0), np.ones(10)), together)


def test_a_metric_over_nothing_has_no_value():
    assert mean_over_queries("x", [[], []]) == Metric("x", None, None, None, 0)
