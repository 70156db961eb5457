"""How far the number of candidates is raised, and what then counts as proved."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from sorce.mappings import Box, Hit, Hits, Match
from sorce.mappings.query import Query
from sorce.mappings.ranking import Ranking
from sorce.mappings.request import SearchRequest
from sorce.plugin.query.proof import proven

PRODUCT = Ranking("product")


def hit(score: float) -> Hit:
    return Hit(str(score), "", "", "", 1, 1, score, ((Match(0, Box(0, 0, 1, 1), "object", 1.0, 1.0, score),),))


class Asked:
    """Answers with hits of these scores; the cosine of candidate k is 1 / k."""

    def __init__(self, *scores: float, cosine: Callable[[int], float | None] = lambda k: 1 / k) -> None:
        self.scores, self.cosine = scores, cosine
        self.ks: list[int] = []

    def ask(self, query: Query) -> Hits:
        self.ks.append(query.candidates)
        return Hits(tuple(hit(score) for score in self.scores))

    def last(self, query: Query) -> Sequence[float | None]:
        return [self.cosine(query.candidates) for _ in query.phrases]

    def unproved(self, query: Query, most: int) -> list[bool]:
        return [hit.unproved for hit in proven(query, most, self.ask, self.last)]


def query(phrases: int = 1, **given: float) -> Query:
    request = SearchRequest(["v"] * phrases, **{"size": 2, "k": 10, **given})  # type: ignore[arg-type]
    return Query(request, ["v"] * phrases, ranking=PRODUCT)


def test_no_more_is_asked_once_the_last_is_proved() -> None:
    asked = Asked(0.5, 0.1)
    assert asked.unproved(query(), 100) == [False, False]
    assert asked.ks == [10]


def test_candidates_double_until_they_are_enough() -> None:
    asked = Asked(0.5, 0.03)
    assert asked.unproved(query(), 100) == [False, False]
    assert asked.ks == [10, 20, 40]


def test_at_the_limit_only_what_is_proved_is_said_to_be() -> None:
    asked = Asked(0.5, 0.01)
    assert asked.unproved(query(), 50) == [False, True]
    assert asked.ks == [10, 20, 40, 50]


def test_a_limit_below_the_first_number_raises_nothing() -> None:
    asked = Asked(0.05, 0.01)
    assert asked.unproved(query(), 5) == [True, True]
    assert asked.ks == [10]


def test_candidates_are_never_fewer_than_photos_asked_for() -> None:
    asked = Asked(0.5, 0.5)
    asked.unproved(query(k=1), 100)
    assert asked.ks == [2]


def test_what_several_phrases_may_score_adds_up() -> None:
    assert Asked(0.9, 0.19).unproved(query(2), 10) == [False, True]
    assert Asked(0.9, 0.21).unproved(query(2), 10) == [False, False]


@pytest.mark.parametrize("cosine", [None, 0.1])
def test_nothing_is_outside_where_candidates_run_out_or_fall_below_the_floor(cosine: float | None) -> None:
    asked = Asked(0.01, cosine=lambda k: cosine)  # noqa: ARG005
    assert asked.unproved(query(min_similarity=0.2), 100) == [False]
    assert asked.ks == [10]


def test_fewer_hits_than_asked_for_are_not_taken_for_all() -> None:
    asked = Asked(0.5)
    assert asked.unproved(query(), 40) == [False]
    assert asked.ks == [10, 20, 40]
