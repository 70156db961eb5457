"""Days are those of the camera's clock, and folders are found by the name as typed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from opensearchpy import OpenSearch

from sorce.mappings.document import document
from sorce.mappings.filters import Filter
from sorce.mappings.index import index_body
from sorce.plugin import ClientSearch, SearchRequest
from tests.kit.corpus import RECIPE, SERIALIZE_NUMPY, Corpus, Words

TAKEN = {"evening": "2024-12-31T22:00-05:00", "next year": "2025-01-01T03:00+09:00", "noon": "2024-12-31T12:00+00:00"}
DECOMPOSED = "/photos/Mu\u0308ller U\u0308bung/below"


@pytest.fixture(scope="module", params=[True, False], ids=["schema 2", "written by schema 1"])
def dated(client: OpenSearch, corpus: Corpus, request: pytest.FixtureRequest) -> Iterator[tuple[str, bool]]:
    """Photos of these moments; those that schema 1 wrote have no local day."""
    name = f"test-days-{uuid.uuid4().hex[:8]}"
    client.indices.create(index=name, body=index_body(RECIPE))
    for place, (file_name, moment) in enumerate(TAKEN.items()):
        photo = corpus.photos[place]
        file = replace(photo.file, file_name=file_name, folder=DECOMPOSED)
        taken = replace(photo, file=file, taken_at=datetime.fromisoformat(moment), attributes={})
        made = document(
            taken, corpus.regions[place], datetime(2026, 7, 1, tzinfo=UTC), RECIPE.hash if request.param else None
        )
        body = orjson.dumps(made, None, SERIALIZE_NUMPY)
        client.index(index=name, id=photo.file.photo_id, body=body, params={"refresh": "true"})
    yield name, request.param
    client.indices.delete(index=name)


def names(client: OpenSearch, index: str, conditions: Filter) -> set[str]:
    hits = ClientSearch(client, index, lambda _: Words()).search(SearchRequest("a kite", filter=conditions))
    return {hit.file_name for hit in hits}


@pytest.mark.fault("6.5.2")
def test_a_day_is_the_one_that_the_camera_showed(client: OpenSearch, dated: tuple[str, bool]) -> None:
    index, knows_days = dated
    found = names(client, index, Filter(since="2024-12-31", until="2024-12-31"))
    # Without a local day, the UTC instant counts: the first photo is on the next day, the second on this day.
    assert found == ({"evening", "noon"} if knows_days else {"next year", "noon"})


@pytest.mark.fault("6.6.3")
@pytest.mark.parametrize("folder", ["/photos/M\u00fcller \u00dcbung", "/photos/Mu\u0308ller U\u0308bung/"])
def test_a_folder_is_found_in_either_form(client: OpenSearch, dated: tuple[str, bool], folder: str) -> None:
    assert names(client, dated[0], Filter(folder=folder)) == set(TAKEN)
