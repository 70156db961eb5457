"""The addresses of thumbnails that `sorce dashboards install --page` writes are those that the page answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx
import pytest
from opensearchpy import OpenSearch

from sorce.cluster import find_index
from sorce.dashboards.build import signature_for
from sorce.dashboards.photos import PhotosView, photos_objects
from sorce.mappings.query import Version
from tests.kit.album import Album
from tests.plugin.service.page.conftest import DASHBOARDS, KEY


@pytest.mark.parametrize("service", ["page", "locked"])
def test_dashboards_shows_thumbnails_of_the_page(
    service: str, cluster: OpenSearch, album: Album, request: pytest.FixtureRequest
) -> None:
    asking: httpx.Client = request.getfixturevalue(service)
    url, key = str(asking.base_url).rstrip("/"), KEY if service == "locked" else None
    signature = signature_for(album.index, key, datetime.now(UTC))
    view = PhotosView(find_index(cluster, album.index), Version(3, 6), 85, page=url, signature=signature)
    [pattern] = [each for each in photos_objects(view) if each.type == "index-pattern"]
    address = json.loads(pattern.attributes["fieldFormatMap"])["_id"]["params"]["urlTemplate"]
    assert view.thumbnails.expression is not None
    before, _, after = view.thumbnails.expression.split(" + ")
    photo = album.photo("kitchen/0.png")
    for each in (address.replace("{{value}}", photo), json.loads(before) + photo + json.loads(after)):
        answer = asking.get(each, headers={"Origin": DASHBOARDS, "Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 200, each
        assert answer.headers["Content-Type"] == "image/webp"


def test_a_signature_lasts_for_three_to_six_months() -> None:
    days = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((1, 1), (3, 31), (4, 1), (11, 29), (12, 31))]
    ends = [int(signature_for("photos", "key", day).split("=")[1].split("&")[0]) for day in days]
    assert [datetime.fromtimestamp(end, UTC).date().isoformat() for end in ends] == [
        "2026-07-01",
        "2026-07-01",
        "2026-10-01",
        "2027-04-01",
        "2027-04-01",
    ]
    assert signature_for("photos", None, days[0]) == ""
