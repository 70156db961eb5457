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
from dataclasses import dataclass, replace
from typing import Any

from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.ranking import ABOVE_MINIMUM, NO_MINIMUM, PLAIN, Ranking
from sorce.mappings.request import CANDIDATES_OF_SEVERAL, CANDIDATES_OTHERWISE, SearchRequest
from sorce.mappings.values import Vector

Json = dict[str, Any]

# The stored template asks with placeholders where the client has values.
QueryVector = Vector | str
Clauses = Sequence[Json] | str

# By the cosine alone, in fewer words than `Ranking.script` has.
# A region without a vector, or with one that is not of unit length, gets no score that OpenSearch refuses: the whole
# search would fail with it. Such a hit is left out when the answer is read.
CLOSENESS = "_score >= 1 ? _score : Math.max(0, 2 - 1 / _score)"
DISTANCE = "_score >= 1 ? Math.max(0, 1 - _score / 2) : Math.min(1, 0.5 / _score)"
WITH_MINIMUM = f"double closeness = {CLOSENESS}; closeness - 1 < params.min_similarity ? 0 : closeness"

PHOTO_FIELDS = ["photo_id", "uri", "file_name", "folder", "width", "height", "recipe_hash"]
NO_COSINE = 9
"""Stands where a region has no vector, so that no cosine is known; a cosine is at most 1."""
COSINE = "similarity"
"""The field of a shown region's cosine, where something else ranks."""
COSINE_SCRIPT = f"doc['regions.vec'].size() == 0 ? {NO_COSINE} : innerProduct(params.vector, doc['regions.vec'])"
MATCH_FIELDS = [f"regions.{name}" for name in ("id", "kind", "x1", "y1", "x2", "y2", "area", "quality")]


@dataclass(frozen=True)
class Query:
    """A request bound to one index: its texts as vectors, its conditions as clauses, and what ranks a region.

    `clauses` are on `regions.*` (`sorce.mappings.filters`). `recipe_hash` is that of the index's recipe: a document
    that was made by another holds vectors that cannot be compared.
    """

    request: SearchRequest
    phrases: Sequence[QueryVector]
    nots: Sequence[QueryVector] = ()
    clauses: Clauses = ()
    ranking: Ranking = PLAIN
    recipe_hash: str | None = None

    @property
    def candidates(self) -> int:
        """`k`, or by default enough for the photos asked for."""
        asked = self.request
        if asked.k is not None:
            return asked.k
        return default_k(asked.size, len(self.phrases) + len(self.nots), by_cosine=self.ranking.is_plain)

    def with_candidates(self, k: int) -> Query:
        return replace(self, request=replace(self.request, k=k))


def default_k(size: int, texts: int, *, by_cosine: bool) -> int:
    """For one text the graph's order is the cosine's, and more candidates find nothing: `ef_search` decides. What
    another ranking puts first may be further down, and what is good for several texts far down the list of each.
    """
    if texts > 1:
        return max(size, CANDIDATES_OF_SEVERAL)
    return size if by_cosine else min(size * CANDIDATES_OTHERWISE, MAX_CANDIDATES)


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
    proposals = [] if query.request.exact else [candidates(vector, query, version) for vector in query.phrases]
    return {
        "size": query.request.size,
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
    k = query.candidates
    found = {"from": k - 1, "size": 1, "track_total_hits": False, "_source": False}
    return {**found, "query": candidates(vector, query, version)}


def unbent(score: float) -> float:
    """The cosine, from k-NN's score."""
    return score - 1 if score >= 1 else 1 - 1 / score


def any_of(clauses: Sequence[Any]) -> Json:
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}


def candidates(vector: QueryVector, query: Query, version: Version) -> Json:
    """The photos with a region near the vector, by the graph."""
    knn: Json = {"vector": vector, "k": query.candidates, "method_parameters": {"ef_search": query.request.width}}
    if query.clauses:
        knn["filter"] = region_filter(query.clauses, version)
    return {"nested": {"path": "regions", "score_mode": "max", "query": {"knn": {"regions.vec": knn}}}}


def region_filter(clauses: Clauses, version: Version) -> Json:
    """Clauses on regions, as k-NN's pre-filter understands them: before 3.1 bare, since then nested (k-NN 2641)."""
    bare = {"bool": {"filter": clauses}}
    return bare if version < Version(3, 1) else {"nested": {"path": "regions", "query": bare}}


def exact(vector: QueryVector, name: str, query: Query) -> Json:
    """Every region's exact score for one phrase; the best counts, and is shown."""
    scored: Json = {"query": compared(vector, query.clauses), "script": {"source": CLOSENESS}}
    # Doc values, since `_source` of a photo with hundreds of regions would be read and cut up for every hit.
    shown: Json = {
        "name": name,
        "size": query.request.boxes_to_fetch,
        "_source": False,
        "docvalue_fields": MATCH_FIELDS,
    }
    min_similarity = query.request.min_similarity
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
    return {"source": COSINE_SCRIPT, "params": {"vector": vector}}


def compared(vector: QueryVector, clauses: Clauses) -> Json:
    """Each region (that the clauses let through) with its likeness to the vector, as knn_score gives it."""
    params = {"field": "regions.vec", "query_value": vector, "space_type": "innerproduct"}
    return {
        "script_score": {
            "query": {"bool": {"filter": clauses}} if clauses else {"match_all": {}},
            "script": {"lang": "knn", "source": "knn_score", "params": params},
        }
    }
