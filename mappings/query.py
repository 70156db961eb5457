"""The query: one structure for every search.

Nested k-NN only proposes candidate photos. Then all regions of those photos are scored exactly, in the same request. So
the score shown is the exact score of the box shown, on a quantised index, too. Let p be the phrases, n the "but not"
phrases, and cos the best cosine among a photo's regions. OpenSearch ranks by

    sum over p of (1 + cos p)  +  sum over n of (1 - cos n) / 2

This is the score of a hit (the sum of cos p minus half of each cos n) plus a constant. It is never negative: OpenSearch
requires that of a score. Regions can also be ranked by something else than the cosine (`sorce.mappings.ranking`); the
candidates are still found by cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.ranking import ABOVE_MINIMUM, NO_MINIMUM, PLAIN, Ranking
from sorce.mappings.regions import WHOLE, vector_of
from sorce.mappings.request import CANDIDATES_OF_SEVERAL, CANDIDATES_OTHERWISE, SearchRequest
from sorce.mappings.values import Vector

Json = dict[str, Any]

# The stored template has placeholders where the client has values.
QueryVector = Vector | str
Clauses = Sequence[Json] | str

# Ranking by cosine alone, in a shorter script than `Ranking.script`. A region without a vector, or without a unit
# vector, must not get a score that OpenSearch rejects: the whole search would fail. Such a hit is left out when the
# answer is read.
CLOSENESS = "_score >= 1 ? _score : Math.max(0, 2 - 1 / _score)"
DISTANCE = "_score >= 1 ? Math.max(0, 1 - _score / 2) : Math.min(1, 0.5 / _score)"
WITH_MINIMUM = f"double closeness = {CLOSENESS}; closeness - 1 < params.min_similarity ? 0 : closeness"

PHOTO_FIELDS = ["photo_id", "uri", "file_name", "folder", "width", "height", "recipe_hash"]
NO_COSINE = 9
"""Used if a region has no vector, so that no cosine is known; a real cosine is at most 1."""
COSINE = "similarity"
"""The field with a shown region's cosine, if something else ranks."""
COSINE_SCRIPT = f"doc['regions.vec'].size() == 0 ? {NO_COSINE} : innerProduct(params.vector, doc['regions.vec'])"
MATCH_FIELDS = [f"regions.{name}" for name in ("id", "kind", "x1", "y1", "x2", "y2", "area", "quality")]


@dataclass(frozen=True)
class Query:
    """A request for one index: its texts as vectors, its conditions as clauses, and the ranking of regions.

    `clauses` apply to `regions.*` (`sorce.mappings.filters`). `recipe_hash` is that of the index's recipe: vectors made
    with another recipe cannot be compared.
    """

    request: SearchRequest
    phrases: Sequence[QueryVector]
    nots: Sequence[QueryVector] = ()
    clauses: Clauses = ()
    ranking: Ranking = PLAIN
    recipe_hash: str | None = None

    @property
    def candidates(self) -> int:
        """`k`, or by default enough for the number of photos asked for."""
        asked = self.request
        if asked.k is not None:
            return asked.k
        return default_k(asked.last, len(self.phrases) + len(self.nots), by_cosine=self.ranking.is_plain)

    def part(self, clauses: Sequence[Json], k: int) -> Query:
        """The query for `k` candidates, of those regions alone that also pass these clauses."""
        return replace(self, clauses=[*self.clauses, *clauses], request=replace(self.request, k=k))


def default_k(size: int, texts: int, *, by_cosine: bool) -> int:
    """For one text the graph orders by cosine, so more candidates find nothing new: `ef_search` decides.

    Another ranking may prefer regions further down, and good photos for several texts may be far down each list.
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
    """The complete search request, for the client and the stored template.

    To fold near-duplicates, each photo is shown with the vector of its region 0. Photos without one are found, too.
    """
    phrases = [exact(vector, f"p{i}", query) for i, vector in enumerate(query.phrases)]
    nots = [without(vector, query.ranking) for vector in query.nots]
    proposals = [] if query.request.exact else [candidates(vector, query, version) for vector in query.phrases]
    return {
        "from": query.request.start,
        "size": query.request.size,
        "track_total_hits": False,
        "_source": False,
        "docvalue_fields": PHOTO_FIELDS,
        "query": {
            "bool": {
                "must": [*([any_of(proposals)] if proposals else []), *phrases, *nots],
                **({} if query.request.fold is None else {"should": [vector_of(WHOLE)]}),
            }
        },
    }


def among(body: Json, photo_ids: Sequence[str]) -> Json:
    """The search request, restricted to these photos."""
    asked = body["query"]["bool"]
    only = {"ids": {"values": list(photo_ids)}}
    return {**body, "query": {"bool": {**asked, "filter": [only]}}}


def proposals(vector: QueryVector, query: Query, version: Version) -> Json:
    """The search for the `k` candidates for one phrase, by the score of k-NN, without their fields."""
    found = {"size": query.candidates, "track_total_hits": False, "_source": False}
    return {**found, "query": candidates(vector, query, version)}


def to_cosine(score: float) -> float:
    """Converts k-NN's score to the cosine."""
    return score - 1 if score >= 1 else 1 - 1 / score


FAINT = 1e-37
"""The weight of the graph's own score: float32 leaves no trace of it in the sum. Zero would make a filter of it."""


def any_of(clauses: Sequence[Any]) -> Json:
    """Photos that meet one of these clauses, at no change of the score.

    It is no filter: OpenSearch answers a repeated filter from its cache, which takes k-NN clauses that differ in `k`
    alone for the same one (since k-NN 3037). Later pages of a search would then be empty.
    """
    return {"bool": {"should": list(clauses), "minimum_should_match": 1, "boost": FAINT}}


def candidates(vector: QueryVector, query: Query, version: Version) -> Json:
    """The photos with a region near the vector, found with the graph."""
    knn: Json = {"vector": vector, "k": query.candidates, "method_parameters": {"ef_search": query.request.width}}
    if query.clauses:
        knn["filter"] = region_filter(query.clauses, version)
    return {"nested": {"path": "regions", "score_mode": "max", "query": {"knn": {"regions.vec": knn}}}}


def region_filter(clauses: Clauses, version: Version) -> Json:
    """Clauses on regions as a k-NN pre-filter: plain before 3.1, nested since then (k-NN 2641)."""
    bare = {"bool": {"filter": clauses}}
    return bare if version < Version(3, 1) else {"nested": {"path": "regions", "query": bare}}


def exact(vector: QueryVector, name: str, query: Query) -> Json:
    """Every region's exact score for one phrase; the best one counts and is shown."""
    scored: Json = {"query": compared(vector, query.clauses), "script": {"source": CLOSENESS}}
    # Doc values, because otherwise the `_source` of a photo with hundreds of regions would be parsed for every hit.
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
    """The score falls with the most similar region: the minimum of 1 - cos over regions is 1 - the maximum cos."""
    script: Json = {"source": DISTANCE}
    if not ranking.is_plain:
        script = {"source": ranking.script_of_not, "params": ranking.params}
    scored = {"query": compared(vector, ()), "script": script}
    return {"nested": {"path": "regions", "score_mode": "min", "query": {"script_score": scored}}}


def cosine(vector: QueryVector) -> Json:
    """The script for a shown region's cosine, if its score is something else."""
    return {"source": COSINE_SCRIPT, "params": {"vector": vector}}


def compared(vector: QueryVector, clauses: Clauses) -> Json:
    """Each region (that passes the clauses) with its similarity to the vector, as knn_score returns it."""
    params = {"field": "regions.vec", "query_value": vector, "space_type": "innerproduct"}
    return {
        "script_score": {
            "query": {"bool": {"filter": clauses}} if clauses else {"match_all": {}},
            "script": {"lang": "knn", "source": "knn_score", "params": params},
        }
    }
