"""How many candidates of all regions and of each band of quality are asked for, and what then counts as proved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sorce.mappings import Box, Hit, Hits, Match
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.query import Query
from sorce.mappings.ranking import Ranking
from sorce.mappings.request import SearchRequest
from sorce.plugin.query.proof import EDGES, Candidate, Part, proven

PRODUCT = Ranking("product")
BANDS = len(EDGES) - 1


def hit(photo_id: str, score: float) -> Hit:
    return Hit(photo_id, "", "", "", 1, 1, score, ((Match(0, Box(0, 0, 1, 1), "object", 1.0, 1.0, score),),))


def query(phrases: int = 1, **given: float) -> Query:
    request = SearchRequest(["v"] * phrases, **{"size": 2, "k": 10, **given})  # type: ignore[arg-type]
    return Query(request, ["v"] * phrases, ranking=PRODUCT)


class Asked:
    """Answers with hits of these scores; of all regions and in each band, the cosine of candidate k is 1 / k."""

    def __init__(self, *scores: float, cosine: Callable[[int], float | None] = lambda k: 1 / k) -> None:
        self.scores, self.cosine = scores, cosine
        self.ks: list[int] = []

    def propose(self, query: Query, phrase: int) -> Sequence[Candidate]:  # noqa: ARG002
        self.ks.append(query.candidates)
        last = self.cosine(query.candidates)
        return [] if last is None else [Candidate("photo", last)] * query.candidates

    def compare(self, photo_ids: Sequence[str]) -> Hits:  # noqa: ARG002
        return Hits(tuple(hit(str(score), score) for score in self.scores))

    def unproved(self, query: Query, most: int) -> list[bool]:
        return [hit.unproved for hit in proven(query, most, self.propose, self.compare)]


class Photos:
    """Photos of regions with these cosines, (phrases, photos, regions), and qualities, (photos, regions)."""

    def __init__(self, cosines: Any, quality: Any) -> None:
        self.cosines, self.quality = cosines, quality

    def propose(self, query: Query, phrase: int) -> Sequence[Candidate]:
        inside = holds(query.clauses[-1], self.quality) if query.clauses else True
        best = np.where(inside, self.cosines[phrase], -np.inf).max(axis=1)
        nearest = [photo for photo in np.argsort(-best) if best[photo] > -np.inf][: query.candidates]
        return [Candidate(str(photo), float(best[photo])) for photo in nearest]

    @property
    def scores(self) -> Any:
        return (self.cosines * self.quality).max(axis=2).sum(axis=0)

    def compare(self, photo_ids: Sequence[str]) -> Hits:
        some = sorted(photo_ids, key=lambda photo: -self.scores[int(photo)])[:2]
        return Hits(tuple(hit(photo, float(self.scores[int(photo)])) for photo in some))


def holds(clause: Any, quality: Any) -> Any:
    """What OpenSearch does with the clause of a part."""
    if "bool" in clause:
        [unwanted] = clause["bool"]["must_not"]
        return ~holds(unwanted, quality)
    edges = clause["range"]["regions.quality"]
    return (quality > edges["gt"]) & (quality <= edges.get("lte", np.inf))


def test_each_quality_is_in_one_band() -> None:
    quality = np.array([0, 0.2, *EDGES, 1.5, np.nan])
    inside = [holds(Part(0, low, high).clause, quality) for high, low in pairwise(EDGES)]
    assert np.sum(inside, axis=0).tolist() == [1] * len(quality)


def test_no_more_is_asked_once_the_last_is_proved() -> None:
    asked = Asked(0.5, 0.1)
    assert asked.unproved(query(), 100) == [False, False]
    assert asked.ks == [10, 10]


def test_only_bands_that_may_hold_a_better_photo_are_asked_for_more() -> None:
    asked = Asked(0.5, 0.06)
    assert asked.unproved(query(), 100) == [False, False]
    # A region of the lowest band, with a quality of 0.5 at most, scores at most 0.5 / 10. Any other band has room.
    # The best band was asked for 10 at first.
    assert asked.ks == [10, 10] + [40] + [10] * (BANDS - 2) + [40] * (BANDS - 2)


def test_at_the_limit_only_what_is_proved_is_said_to_be() -> None:
    asked = Asked(0.5, 0.01)
    assert asked.unproved(query(), 50) == [False, True]
    assert sorted(set(asked.ks)) == [10, 40, 50]


def test_a_limit_below_the_first_number_raises_nothing() -> None:
    asked = Asked(0.05, 0.01)
    assert asked.unproved(query(), 5) == [True, True]
    assert asked.ks == [10, 10] + [10] * (BANDS - 1)


def test_candidates_are_never_fewer_than_photos_asked_for() -> None:
    asked = Asked(0.5, 0.5)
    asked.unproved(query(k=1), 100)
    assert asked.ks == [2, 2]


def test_candidates_are_never_more_than_opensearch_gives() -> None:
    asked = Asked(0.5)
    asked.unproved(query(size=5001, k=None), 100)  # type: ignore[arg-type]
    assert set(asked.ks) == {MAX_CANDIDATES}


def test_what_several_phrases_may_score_adds_up() -> None:
    assert Asked(0.9, 0.19).unproved(query(2), 10) == [False, True]
    assert Asked(0.9, 0.21).unproved(query(2), 10) == [False, False]


@pytest.mark.parametrize("cosine", [None, 0.1])
def test_nothing_is_outside_where_candidates_run_out_or_fall_below_the_floor(cosine: float | None) -> None:
    asked = Asked(0.01, cosine=lambda k: cosine)  # noqa: ARG005
    assert asked.unproved(query(min_similarity=0.2), 100) == [False]
    assert asked.ks == [10, 10]


def test_fewer_hits_than_asked_for_are_not_taken_for_all() -> None:
    asked = Asked(0.5)
    assert asked.unproved(query(), 40) == [False]
    assert asked.ks == [10, 10] + [40] + [10] * (BANDS - 1) + [40] * (BANDS - 1)


@pytest.mark.parametrize("seed", range(40))
def test_the_first_photos_are_those_of_all_and_each_mark_is_true(seed: int) -> None:
    rng = np.random.default_rng(seed)
    phrases = int(rng.integers(1, 4))
    photos = Photos(rng.uniform(-0.2, 1, (phrases, 60, 3)) ** 3, rng.uniform(0, 1, (60, 3)) ** 0.5)
    first = [str(photo) for photo in np.argsort(-photos.scores)[:2]]
    for most in (2, 8, 64):
        hits = proven(query(phrases, k=2), most, photos.propose, photos.compare)
        proved = [hit.photo_id for hit in hits if not hit.unproved]
        assert proved == first[: len(proved)]
    assert len(proved) == 2
