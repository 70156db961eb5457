"""How a photo is asked for: one shape for every search.

Candidates come from nested k-NN, which only proposes photos; then all regions of those photos are scored exactly, in
the same request. So the score shown is the exact score of the box shown, on a quantised index too. With phrases p and
"but not" phrases n, cos being the best cosine among a photo's regions, OpenSearch ranks by

    sum over p of (1 + cos p)  +  sum over n of (1 - cos n) / 2

which is the score of a hit (sum of cos p less half of each cos n) plus a constant, and never negative, as OpenSearch
demands of a score. Instead of the cosine something else may rank the regions (`sorce.mappings.ranking`); the candidates
still come by cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sorce.errors import QueryError
from sorce.mappings.limits import MAX_BOXES, MAX_CANDIDATES
from sorce.mappings.ranking import ABOVE_MINIMUM, NO_MINIMUM, PLAIN, Ranking
from sorce.mappings.values import Vector

Json = dict[str, Any]

# The stored template asks with placeholders where the client has values.
QueryVector = Vector | str
Number = int | float | str
Clauses = Sequence[Json] | str

MOST_PHRASES = 4
MOST_NOTS = 2

CANDIDATES_OTHERWISE = 10  # times the photos asked for
CANDIDATES_OF_SEVERAL = 1000
EF_SEARCH = 300
EF_SEARCH_TO_PROVE = 2000

# By the cosine alone, in fewer words than `Ranking.script` has.
CLOSENESS = "_score >= 1 ? _score : 2 - 1 / _score"
DISTANCE = "_score >= 1 ? 1 - _score / 2 : 0.5 / _score"
WITH_MINIMUM = f"double closeness = {CLOSENESS}; closeness - 1 < params.min_similarity ? 0 : closeness"

PHOTO_FIELDS = ["photo_id", "uri", "file_name", "folder", "width", "height"]
COSINE = "similarity"
"""The field of a shown region's cosine, where something else ranks."""
MATCH_FIELDS = [f"regions.{name}" for name in ("id", "kind", "x1", "y1", "x2", "y2", "area", "quality")]


@dataclass(frozen=True)
class Query:
    """One search. `filter` holds clauses on `regions.*` (`sorce.mappings.filters`).

    `boxes` is how many regions a photo shows per phrase; `k` how many candidate photos each shard proposes per phrase,
    and `ef_search` how widely the graph is searched for them; `min_similarity` the least similarity of a phrase's
    region; `exact` scans every photo instead. `ranking` is what ranks a region.
    """

    phrases: Sequence[QueryVector]
    nots: Sequence[QueryVector] = ()
    size: Number = 10
    boxes: Number = 1
    filter: Clauses = ()
    min_similarity: Number | None = None
    k: Number | None = None
    ef_search: Number = EF_SEARCH
    exact: bool = False
    ranking: Ranking = PLAIN

    def __post_init__(self) -> None:
        if not 1 <= len(self.phrases) <= MOST_PHRASES or len(self.nots) > MOST_NOTS:
            raise QueryError(
                f'a search takes 1 to {MOST_PHRASES} phrases and at most {MOST_NOTS} "not"; leave some out.'
            )
        _within("boxes per photo", self.boxes, MAX_BOXES)
        _within("photos", self.size, MAX_CANDIDATES)
        _within("candidates (k)", self.k, MAX_CANDIDATES)
        _within("ef_search", self.ef_search, MAX_CANDIDATES)

    @property
    def candidates(self) -> Number:
        """`k`, or by default enough for the photos asked for."""
        if self.k is not None or isinstance(self.size, str):
            return self.k or self.size
        return default_k(int(self.size), len(self.phrases) + len(self.nots), by_cosine=self.ranking.is_plain)


def default_k(size: int, texts: int, *, by_cosine: bool) -> int:
    """For one text the graph's order is the cosine's, and more candidates find nothing: `ef_search` decides. What
    another ranking puts first may be further down, and what is good for several texts far down the list of each.
    """
    if texts > 1:
        return max(size, CANDIDATES_OF_SEVERAL)
    return size if by_cosine else min(size * CANDIDATES_OTHERWISE, MAX_CANDIDATES)


def _within(name: str, value: Number | None, most: int) -> None:
    if isinstance(value, int) and not 1 <= value <= most:
        raise QueryError(f"{value} {name} is out of range; ask for 1 to {most}.")


@dataclass(frozen=True, order=True)
class Version:
    """The server's version, as far as queries depend on it."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Version:
        major, minor = text.split(".")[:2]
        return cls(int(major), int(minor))


def search_body(query: Query, version: Version) -> Json:
    """The whole request of a search, for client and stored template alike."""
    phrases = [exact(vector, f"p{i}", query) for i, vector in enumerate(query.phrases)]
    nots = [without(vector, query.ranking) for vector in query.nots]
    proposals = [] if query.exact else [candidates(vector, query, version) for vector in query.phrases]
    return {
        "size": query.size,
        "track_total_hits": False,
        "_source": False,
        "docvalue_fields": PHOTO_FIELDS,
        "query": {"bool": {"filter": [any_of(proposals)] if proposals else [], "must": [*phrases, *nots]}},
    }


def among(body: Json, photo_ids: Sequence[str]) -> Json:
    """The request of a search, for these photos alone."""
    asked = body["query"]["bool"]
    only = {"ids": {"values": list(photo_ids)}}
    return {**body, "query": {"bool": {**asked, "filter": [*asked["filter"], only]}}}


def last_candidate(vector: QueryVector, query: Query, version: Version) -> Json:
    """The search whose only hit is the k-th candidate for one phrase, scored by k-NN; none where there are fewer."""
    k = int(query.candidates)
    found = {"from": k - 1, "size": 1, "track_total_hits": False, "_source": False}
    return {**found, "query": candidates(vector, query, version)}


def unbent(score: float) -> float:
    """The cosine, from k-NN's score."""
    return score - 1 if score >= 1 else 1 - 1 / score


def any_of(clauses: Sequence[Any]) -> Json:
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}


def candidates(vector: QueryVector, query: Query, version: Version) -> Json:
    """The photos with a region near the vector, by the graph."""
    knn: Json = {"vector": vector, "k": query.candidates, "method_parameters": {"ef_search": query.ef_search}}
    if query.filter:
        knn["filter"] = region_filter(query.filter, version)
    return {"nested": {"path": "regions", "score_mode": "max", "query": {"knn": {"regions.vec": knn}}}}


def region_filter(clauses: Clauses, version: Version) -> Json:
    """Clauses on regions, as k-NN's pre-filter understands them: before 3.1 bare, since then nested (k-NN 2641)."""
    bare = {"bool": {"filter": clauses}}
    return bare if version < Version(3, 1) else {"nested": {"path": "regions", "query": bare}}


def exact(vector: QueryVector, name: str, query: Query) -> Json:
    """Every region's exact score for one phrase; the best counts, and is shown."""
    scored: Json = {"query": compared(vector, query.filter), "script": {"source": CLOSENESS}}
    # Doc values, since `_source` of a photo with hundreds of regions would be read and cut up for every hit.
    shown: Json = {"name": name, "size": query.boxes, "_source": False, "docvalue_fields": MATCH_FIELDS}
    min_similarity = query.min_similarity
    if not query.ranking.is_plain:
        min_similarity = NO_MINIMUM if min_similarity is None else min_similarity
        scored["script"] = {
            "source": query.ranking.script,
            "params": {**query.ranking.params, "min_similarity": min_similarity},
        }
        shown["script_fields"] = {COSINE: {"script": cosine(vector)}}
    elif min_similarity is not None:
        scored["script"] = {"source": WITH_MINIMUM, "params": {"min_similarity": min_similarity}}
    if min_similarity is not None:
        scored["min_score"] = ABOVE_MINIMUM
    return {"nested": {"path": "regions", "score_mode": "max", "inner_hits": shown, "query": {"script_score": scored}}}


def without(vector: QueryVector, ranking: Ranking) -> Json:
    """Less the more any region resembles the vector: the least 1 - cos among regions is 1 - the greatest cos."""
    script: Json = {"source": DISTANCE}
    if not ranking.is_plain:
        script = {"source": ranking.script_of_not, "params": ranking.params}
    scored = {"query": compared(vector, ()), "script": script}
    return {"nested": {"path": "regions", "score_mode": "min", "query": {"script_score": scored}}}


def cosine(vector: QueryVector) -> Json:
    """The script of a shown region's cosine, where its score is something else."""
    return {"source": "innerProduct(params.vector, doc['regions.vec'])", "params": {"vector": vector}}


def compared(vector: QueryVector, clauses: Clauses) -> Json:
    """Each region (that the clauses let through) with its likeness to the vector, as knn_score gives it."""
    params = {"field": "regions.vec", "query_value": vector, "space_type": "innerproduct"}
    return {
        "script_score": {
            "query": {"bool": {"filter": clauses}} if clauses else {"match_all": {}},
            "script": {"lang": "knn", "source": "knn_score", "params": params},
        }
    }
