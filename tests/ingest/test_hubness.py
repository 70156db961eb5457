"""Hubness is stored in the index with the regions. An index that was made without hubness stays without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch

from sorce.errors import QueryError
from sorce.ingest import Options, ingest_photos
from sorce.ingest.index import TargetIndex
from sorce.mappings.index import index_body
from sorce.models.querybank import TEMPERATURE, hubness, texts
from sorce.plugin import ClientSearch, SearchRequest
from tests.ingest.conftest import CountingModel, files, stored
from tests.kit.fake import FakeModel


def ingest(client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path) -> list[dict[str, Any]]:
    """The regions of all photos, afterwards."""
    ingest_photos(client, index.name, model, files(folder), Options(workers=2))
    return [region for document in stored(index).values() for region in document["regions"]]


def test_each_region_has_its_hubness(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    regions = ingest(client, index, model, folder)
    assert len(regions) == 25
    bank = FakeModel().embed_texts(texts())
    vectors = np.array([region["vec"] for region in regions], np.float32)
    wanted = hubness(vectors, bank, TEMPERATURE)
    assert [region["hubness"] for region in regions] == pytest.approx(wanted, abs=1e-5)


def test_what_is_there_already_needs_no_bank(client: OpenSearch, index: TargetIndex, folder: Path) -> None:
    ingest(client, index, CountingModel(), folder)
    again = CountingModel()
    ingest(client, index, again, folder)
    assert again.texts == []


def test_an_index_made_before_stays_without_and_says_so(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    body = index_body(model.recipe)
    del body["mappings"]["_meta"]["sorce"]["recipe"]["bank"]
    del body["mappings"]["_meta"]["sorce"]["recipe"]["matching"]
    del body["mappings"]["properties"]["regions"]["properties"]["hubness"]
    client.indices.create(index=index.name, body=body)
    assert not any("hubness" in region for region in ingest(client, index, model, folder))
    assert model.texts == []
    search = ClientSearch(client, index.name, lambda _: model)
    assert len(search.search(SearchRequest(["red"]))) == 5
    with pytest.raises(QueryError, match="made without hubness; leave debias out"):
        search.search(SearchRequest(["red"], debias=1))


@pytest.mark.fault("11.4.1")
def test_an_index_by_a_bank_that_is_not_here_takes_photos_without_hubness(
    client: OpenSearch, index: TargetIndex, model: CountingModel, folder: Path
) -> None:
    body = index_body(model.recipe)
    body["mappings"]["_meta"]["sorce"]["recipe"]["bank"] = {"texts": "sha256:0", "temperature": 0.5}
    client.indices.create(index=index.name, body=body)
    regions = ingest(client, index, model, folder)
    assert len(regions) == 25
    assert not any("hubness" in region for region in regions)
