"""Finds the first photos by product with the graph, and proves that no other photo belongs among them.

The graph orders by cosine, and a product also depends on the quality. So the regions are divided into bands of similar
quality. In a photo that is no candidate, no region of a band is nearer to the phrase than the last candidate of all
regions, or of this band, or of more quality than the band's best. The product of both is what such a region can score
at most. Summed over the phrases, it bounds the score of the photo.

The graph is first searched for candidates of any quality, and for those of the best band, which is often enough. Then
only those bands are searched, for more and more candidates, in which another photo could score as much as the last
photo shown.

The proof trusts the graph, so it also misses what the graph misses. A full scan misses nothing, and needs no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from sorce.mappings import Hits
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.query import Json, Query

EDGES = (1.0, 0.9375, 0.84375, 0.71875, 0.5, 0.0)
"""The qualities between the bands, which float32 holds exactly. They are dense where a product can be great."""

AT_ONCE = 5
"""Most requests sent at once: one for each band of a phrase. The client keeps 16 connections."""

WIDTH = 5
"""Candidates for each photo that is asked for, at first."""

QUALITY = "regions.quality"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photo, and the cosine of its region that is nearest to a phrase."""

    photo_id: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Part:
    """The regions of one band of quality, above `least` and up to `most`, as they are compared with one phrase."""

    phrase: int
    least: float
    most: float

    @property
    def clause(self) -> Json:
        """No region is outside of all bands: the lowest also has those without a quality, the highest any above 1."""
        if not self.least:
            return {"bool": {"must_not": [{"range": {QUALITY: {"gt": self.most}}}]}}
        return {"range": {QUALITY: {"gt": self.least, **({"lte": self.most} if self.most < 1 else {})}}}

    def bound(self, cosine: float, query: Query) -> float:
        """What a region of the part can score at most if its cosine is no greater; -inf if it cannot be a hit."""
        least = query.request.min_similarity
        if least is not None and cosine < least:
            return -inf
        return self.most * query.ranking.bound(cosine)


Group = tuple[Part, ...]
"""The parts of one request: a band of a phrase, or all of its bands."""

Propose = Callable[[Query, int], Sequence[Candidate]]
"""The candidates of a query for the phrase with this number, nearest first."""


def proven(query: Query, most: int, propose: Propose, compare: Callable[[Sequence[str]], Hits]) -> Hits:
    """The hits. `compare` ranks photos by their exact scores.

    No band is asked for more than `most` candidates, unless the first request already was. If that is not enough, the
    hits whose place is not proved are marked `unproved`.
    """
    asked = query.request
    first = min(max(asked.last, asked.k or WIDTH * asked.last), MAX_CANDIDATES)
    candidates = Candidates(query, propose)
    candidates.ask({group: first for phrase in range(len(query.phrases)) for group in candidates.first_groups(phrase)})
    while True:
        hits = compare(list(candidates.photo_ids))
        is_full = len(hits) + len(hits.left_out) == asked.size and bool(hits)
        wanted = too_high(candidates.bounds, hits[-1].score if is_full else -inf)
        more: dict[Group, int] = {
            (part,): candidates.more(part, first, most) for part in wanted if candidates.asked[part] < most
        }
        if not more:
            outside = sum(highest(candidates.bounds).values())
            return replace(hits, found=tuple(replace(hit, unproved=hit.score < outside) for hit in hits))
        candidates.ask(more)


class Candidates:
    """The photos that the graph proposed, and what a region of any other photo can score at most, by part.

    `asked` is how many candidates each part alone was asked for.
    """

    def __init__(self, query: Query, propose: Propose) -> None:
        self.photo_ids = dict[str, None]()
        parts = [Part(phrase, low, high) for phrase in range(len(query.phrases)) for high, low in pairwise(EDGES)]
        self.bounds, self.asked = dict.fromkeys(parts, inf), dict.fromkeys(parts, 0)
        self._query, self._propose = query, propose

    def first_groups(self, phrase: int) -> list[Group]:
        """All parts of a phrase together, and the best band alone.

        A graph is not searched completely. With a million regions in clusters, of 300 searches for the first ten photos
        the first request alone missed a photo in 2, and both together in none (`benchmarks/product.py`).
        """
        parts = tuple(part for part in self.bounds if part.phrase == phrase)
        return [parts, parts[:1]]

    def more(self, part: Part, first: int, most: int) -> int:
        """How many candidates to ask a part for."""
        return min(4 * self.asked[part], most) if self.asked[part] else first

    def ask(self, groups: Mapping[Group, int]) -> None:
        """Asks for so many candidates of each group, in one request for each. They are sent at once."""
        with ThreadPoolExecutor(min(len(groups), AT_ONCE)) as pool:
            answers = list(pool.map(self._candidates, groups.keys(), groups.values()))
        for (group, k), found in zip(groups.items(), answers, strict=True):
            self.photo_ids.update(dict.fromkeys(each.photo_id for each in found))
            if len(group) == 1:
                self.asked[group[0]] = k
            for part in group:
                # No region of another photo is nearer than the last candidate.
                bound = part.bound(found[-1].cosine, self._query) if len(found) == k else -inf
                self.bounds[part] = min(self.bounds[part], bound)

    def _candidates(self, group: Group, k: int) -> Sequence[Candidate]:
        clauses = [group[0].clause] if len(group) == 1 else []
        return self._propose(self._query.part(clauses, k), group[0].phrase)


def highest(bounds: Mapping[Part, float]) -> dict[int, float]:
    """The bound of a phrase: the highest of its bands. -inf if each photo with such a region is a candidate."""
    found: dict[int, float] = {}
    for part, most in bounds.items():
        found[part.phrase] = max(most, found.get(part.phrase, -inf))
    return found


def too_high(bounds: Mapping[Part, float], score: float) -> list[Part]:
    """The parts whose regions, with the best of the other phrases, might bring a photo above this score."""
    of_phrases = highest(bounds)
    total = sum(of_phrases.values())
    if total == -inf:
        return []
    return [part for part, most in bounds.items() if most > score - total + of_phrases[part.phrase]]


def unproven(hits: Hits) -> Hits:
    """The hits, none of whose places is proved."""
    return replace(hits, found=tuple(replace(hit, unproved=True) for hit in hits))
