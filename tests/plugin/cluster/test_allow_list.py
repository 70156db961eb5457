"""Which addresses the cluster may call."""

from __future__ import annotations

import uuid

import pytest
from opensearchpy import OpenSearch

from sorce.cluster import translate_errors
from sorce.errors import ClusterError
from sorce.plugin.cluster.allow_list import AllowList
from sorce.plugin.cluster.endpoint import parse
from sorce.plugin.cluster.ml_commons import SEARCH, MlCommons, connector_body


@pytest.mark.parametrize(
    "near",
    [
        "http://127.0.0.1:8199/v1/embeddings/more",
        "http://127.0.0.1:8199/v1/embedding",
        "http://127.0.0.1:81990/v1/embeddings",
        "http://127.0.0.1:8198/v1/embeddings",
        "https://127.0.0.1:8199/v1/embeddings",
        "http://127x0.0.1:8199/v1/embeddings",
        "http://127.0.0.1:8199/v1/embeddings?x=http://127.0.0.1:8199/v1/embeddings",
        "http://evil.example/http://127.0.0.1:8199/v1/embeddings",
    ],
)
def test_the_cluster_calls_the_configured_encoder_and_nothing_near_it(client: OpenSearch, near: str) -> None:
    endpoint = parse("http://127.0.0.1:8199", "mini", None)
    trust, ml = AllowList(client), MlCommons(client)
    record, group = trust.record(endpoint), ml.create_group(f"near-{uuid.uuid4().hex[:8]}", "a test's")
    trust.add(endpoint)
    try:
        connector = connector_body("near", SEARCH, endpoint)
        ml.delete_model(ml.deploy("near", connector, group))
        connector["actions"][0]["url"] = near
        with pytest.raises(ClusterError, match=r"\(400\)"), translate_errors("the cluster"):
            ml.deploy("near", connector, group)
    finally:
        ml.delete_group(group)
        AllowList(client).tidy(record)
