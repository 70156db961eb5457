"""What the user is told if a search found nothing."""

from __future__ import annotations

from dataclasses import replace

from opensearchpy import OpenSearch

from sorce.mappings import Hits
from sorce.mappings.found import FoundIndex
from sorce.mappings.nothing import after_first, nothing_body, why_nothing
from sorce.mappings.request import SearchRequest
from sorce.mappings.selection import regions_of
from sorce.plugin.query.asking import ask


def explained(client: OpenSearch, found: FoundIndex, request: SearchRequest, hits: Hits) -> Hits:
    """Says why there are no hits, with at most one more request. Existing hits and left-out photos stay as they are."""
    if hits or hits.left_out:
        return hits
    conditions = request.filter.conditions(regions_of(found))
    if request.start and not conditions:
        # Nothing else can be the cause, so no request is needed.
        return replace(hits, notes=(*hits.notes, f"{after_first(request)}."))
    answer = ask(client, found.asked, nothing_body(conditions), request.allow_partial)
    why = why_nothing(answer, conditions, found.asked, request)
    return replace(hits, notes=(*hits.notes, f"{why}."))
