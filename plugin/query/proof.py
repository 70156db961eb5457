"""Proves, for ranking by product, that no photo outside the candidates belongs among the first.

Candidates are found by cosine. In any other photo, no region is nearer to a phrase than the last candidate, and no
quality is above 1. So its score is at most what the last candidate's cosine would give with quality 1, summed over the
phrases. The search asks for more candidates until the last photo shown scores at least that much.

The proof trusts the graph, so it also misses what the graph misses. Therefore the graph is searched more widely for it
by default (`EF_SEARCH_TO_PROVE`). A full scan misses nothing, and needs no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

from sorce.mappings import Hits
from sorce.mappings.query import Query

Last = Callable[[Query], Sequence[float | None]]
"""The cosine of the last candidate for each phrase; None if there are fewer candidates than requested."""


def proven(query: Query, most: int, ask: Callable[[Query], Hits], last: Last) -> Hits:
    """The hits, with twice as many candidates each time, from the query's own number to at most `most`.

    If that is not enough, the hits whose place is not proved are marked `unproved`.
    """
    size = query.request.size
    k = max(query.candidates, query.request.last)
    while True:
        asked = query.with_candidates(k)
        hits, bound = ask(asked), outside(asked, last(asked))
        is_full = len(hits) + len(hits.left_out) == size
        all_proved = bound == -inf or (is_full and bool(hits) and hits[-1].score >= bound)
        if all_proved or k >= most:
            return replace(hits, found=tuple(replace(hit, unproved=hit.score < bound) for hit in hits))
        k = min(2 * k, most)


def outside(query: Query, cosines: Sequence[float | None]) -> float:
    """The highest possible score of a photo that is no candidate; -inf if it cannot be a hit at all."""
    asked = query.request.min_similarity
    min_similarity = -inf if asked is None else asked
    bound = 0.0
    for cosine in cosines:
        if cosine is None or cosine < min_similarity:
            return -inf
        bound += query.ranking.bound(cosine)
    return bound
