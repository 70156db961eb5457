"""The proof that no photo outside the candidates belongs among the first, for the ranking by product.

Candidates come by cosine. A photo that is none has no region nearer to a phrase than the last candidate, and no quality
is above 1: so its score is at most what the last candidate's cosine would give with quality 1 (each phrase's added up).
More candidates are asked for until the last photo shown scores no less than that.

The proof takes the graph at its word, and what the graph overlooks the proof overlooks, too: so by default the graph is
searched more widely for it (`EF_SEARCH_TO_PROVE`). A full scan overlooks nothing, and needs no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

from sorce.mappings import Hits
from sorce.mappings.query import Query

Last = Callable[[Query], Sequence[float | None]]
"""The cosine of the last candidate for each phrase; None where there are fewer candidates than were asked for."""


def proven(query: Query, most: int, ask: Callable[[Query], Hits], last: Last) -> Hits:
    """The hits with twice as many candidates each time, from the query's own number to at most `most`.

    Where that is not enough, the hits whose place is not proved say so.
    """
    size = query.request.size
    k = max(query.candidates, size)
    while True:
        asked = query.with_candidates(k)
        hits, bound = ask(asked), outside(asked, last(asked))
        is_full = len(hits) + len(hits.left_out) == size
        all_proved = bound == -inf or (is_full and bool(hits) and hits[-1].score >= bound)
        if all_proved or k >= most:
            return replace(hits, found=tuple(replace(hit, unproved=hit.score < bound) for hit in hits))
        k = min(2 * k, most)


def outside(query: Query, cosines: Sequence[float | None]) -> float:
    """The most that a photo scores that is no candidate; -inf where it cannot be a hit at all."""
    asked = query.request.min_similarity
    min_similarity = -inf if asked is None else asked
    bound = 0.0
    for cosine in cosines:
        if cosine is None or cosine < min_similarity:
            return -inf
        bound += query.ranking.bound(cosine)
    return bound
