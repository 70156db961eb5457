"""All saved objects of one index, from what the cluster says of it."""

from __future__ import annotations

from datetime import UTC, datetime

from opensearchpy import OpenSearch

from sorce.cluster import find_index, version
from sorce.dashboards.objects import SavedObject
from sorce.dashboards.photos import PhotosView, photos_objects
from sorce.dashboards.quality import quality_objects
from sorce.dashboards.runs import runs_objects
from sorce.plugin.cluster.endpoint import key_from_environment
from sorce.plugin.service.page.signing import thumbnail_query

LOOKED_AT = 20
"""How many of the newest photos are looked at for a thumbnail. No query finds the field: it is not indexed."""


def built(view: PhotosView) -> list[SavedObject]:
    """The saved objects; what is referred to comes before what refers."""
    index = view.found.asked
    return [each.marked() for each in (*photos_objects(view), *runs_objects(index), *quality_objects(index))]


def view_of(client: OpenSearch, index: str, page: str | None, time_field: str) -> PhotosView:
    """Raises IndexMissing, IndexNameError."""
    found = find_index(client, index)
    body = {
        "size": LOOKED_AT,
        "sort": [{"ingested_at": "desc"}],
        "_source": ["thumbnail"],
        "aggs": {"regions": {"nested": {"path": "regions"}}},
    }
    answer = client.search(index=index, body=body, params={"allow_partial_search_results": "false"})
    regions = answer["aggregations"]["regions"]["doc_count"]
    has_thumbnails = any("thumbnail" in hit.get("_source", {}) for hit in answer["hits"]["hits"])
    signature = "" if page is None else signature_for(index, key_from_environment(), datetime.now(UTC))
    return PhotosView(found, version(client), regions, has_thumbnails, time_field, page, signature)


def signature_for(index: str, key: str | None, now: datetime) -> str:
    """What lets Dashboards show thumbnails of a page with this key, for three to six months; empty without a key.

    Until the end of the next quarter, so that the same objects are built for a while: `status` compares them.
    """
    if key is None:
        return ""
    months = 12 * now.year + (now.month - 1) // 3 * 3 + 6
    end = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return thumbnail_query(key, index, int(end.timestamp()))
