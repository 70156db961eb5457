"""What the user is told if a search found nothing."""

from __future__ import annotations

from dataclasses import replace

from opensearchpy import OpenSearch

from sorce.mappings import Hits
from sorce.mappings.found import FoundIndex
from sorce.mappings.nothing import nothing_body, why_nothing
from sorce.mappings.request import SearchRequest
from sorce.mappings.selection import regions_of
from sorce.plugin.query.asking import ask


def explained(client: OpenSearch, found: FoundIndex, request: SearchRequest, hits: Hits) -> Hits:
    """Says why there are no hits, with one more request. Existing hits and left-out photos stay as they are."""
    if hits or hits.left_out:
        return hits
    if request.start:
        return replace(hits, notes=(*hits.notes, f"no photo is left after the first {request.start}."))
    conditions = request.filter.conditions(regions_of(found))
    answer = ask(client, found.asked, nothing_body(conditions), request.allow_partial)
    why = why_nothing(answer, conditions, found.asked, request.min_similarity)
    return replace(hits, notes=(*hits.notes, f"{why}."))
