"""The search of the panel with photos: the question is what stands in the query bar of Dashboards.

Dashboards replaces the strings `%dashboard_context-...%` inside arrays of `query` by what its bar and filters say, and
an object with `%timefilter%` by the bounds of its time range. In Lucene's language the bar's text is a `must` clause,
and the pills of filters are `filter` and `must_not` clauses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sorce.mappings.names import Names
from sorce.mappings.query import Query, Version, any_of, exact
from sorce.mappings.request import SearchRequest
from sorce.plugin.cluster.bar import BAR_VECTOR

Json = dict[str, Any]

MUST = "%dashboard_context-must_clause%"
FILTER = "%dashboard_context-filter_clause%"
MUST_NOT = "%dashboard_context-must_not_clause%"
TIME_FILTER = "%timefilter%"

NO_QUESTION = {"query_string": {"query": "a photo", "fields": ["uri"]}}
"""Holds the text that ranks while the query bar is empty."""

EXACT_UP_TO = 1_000_000
"""Regions. Up to here every region of all photos that pass the filters is compared: filters cost no hit."""

CANDIDATES = 1000
"""How many photos the graph proposes to the panel of a larger index."""

FIELDS = ["photo_id", "file_name", "folder", "width", "height"]


def filters(time_field: str) -> Json:
    """Clauses for a `bool`: what the dashboard's filters, controls and time say. The bar's text is left out."""
    return {"filter": [FILTER, {"range": {time_field: {TIME_FILTER: True}}}], "must_not": [MUST_NOT]}


@dataclass(frozen=True)
class GridSearch:
    """What the panel with photos asks for: `size` photos with `boxes` boxes each.

    `regions` is how many the index has, and `time_field` the field of the dashboard's time range.
    """

    index: str
    version: Version
    regions: int
    time_field: str
    size: int
    boxes: int

    @property
    def is_exact(self) -> bool:
        return self.regions <= EXACT_UP_TO


def question(grid: GridSearch) -> Json:
    """The body of the search.

    The first `query_string` in it is the text that is encoded (`sorce.plugin.cluster.bar`). So the bar's clause stands
    first, in a place where it counts nothing, and the text for an empty bar follows.

    Only what needs the vector is a `template`: OpenSearch refuses a template that holds `${x}`, and a folder's name or
    a question may. The filter of the graph's own search cannot stand elsewhere.
    """
    vector = f"${{{BAR_VECTOR}}}"
    best = exact(vector, "p0", Query(SearchRequest("any", size=grid.size), [vector]))
    best["nested"]["inner_hits"]["size"] = grid.boxes
    here = filters(grid.time_field)
    nearest = [] if grid.is_exact else [_template(any_of(_nearest(vector, here, grid.version)))]
    texts = [_scoreless({"bool": {"should": [MUST]}}), _scoreless(NO_QUESTION)]
    passing = [*here["filter"], *nearest]
    asked = {"should": texts, "minimum_should_match": 0, "must": [_template(best)], **here, "filter": passing}
    return {
        "size": grid.size,
        "track_total_hits": False,
        "_source": False,
        "docvalue_fields": FIELDS,
        "search_pipeline": Names(grid.index).bar,
        "query": {"bool": asked},
    }


def _nearest(vector: str, passing: Json, version: Version) -> list[Json]:
    """What the graph proposes: photos that pass the filters, which are on fields of the photo."""
    knn: Json = {"vector": vector, "k": CANDIDATES, "method_parameters": {"ef_search": CANDIDATES}}
    asked = [{**knn, "filter": {"bool": passing}}]
    if version < Version(3, 1):
        # It takes a filter that all photos pass for one on regions, and proposes none.
        asked.append(knn)
    return [
        {"nested": {"path": "regions", "score_mode": "max", "query": {"knn": {"regions.vec": each}}}} for each in asked
    ]


def _template(clause: Json) -> Json:
    """Has the pipeline put the vector in."""
    return {"template": clause}


def _scoreless(clause: Json) -> Json:
    return {"constant_score": {"filter": clause, "boost": 0}}
