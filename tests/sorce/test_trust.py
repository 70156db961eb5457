"""A model with Python code of its own, in `sorce serve --model` and in an index from Python: only for who trusts it."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from PIL import Image

import sorce
from sorce.cluster import find_index
from sorce.errors import ModelError
from sorce.options import Cluster
from sorce.plugin.service.opening import served
from tests.kit import families

OF_PAGE = ("page", "base_path", "allow_origins", "show_paths", "pass_credentials", "cache")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(families.fgclip2(tmp_path_factory.mktemp("families") / "own"))


def test_a_service_serves_a_model_with_code_of_its_own(own: str) -> None:
    given = {"device": "cpu", "locate": False, "roots": (), **dict.fromkeys(OF_PAGE)}
    with pytest.raises(ModelError, match="say --trust-remote-code"):
        served((), own, Cluster(None, insecure=False), trust_remote_code=False, **given)
    serving = served((), own, Cluster(None, insecure=False), trust_remote_code=True, **given)
    assert serving.encoder.embed_texts(["a kite"]).shape == (1, 32)


def test_an_index_takes_photos_by_a_model_with_code_of_its_own(own: str, opensearch: str, tmp_path: Path) -> None:
    name = f"test-trust-{uuid.uuid4().hex[:8]}"
    Image.effect_noise((64, 64), 80).convert("RGB").save(tmp_path / "photo.jpg")
    with sorce.open_index(name, opensearch, own, "whole", device="cpu", trust_remote_code=True) as index:
        try:
            assert index.ingest([tmp_path]).new == 1
            assert find_index(index.client, name).recipe.dimension == 32
            assert len(index.search("a kite")) == 1
        finally:
            index.client.indices.delete(index=name, params={"ignore_unavailable": "true"})
    with sorce.open_index(name, opensearch, own, "whole", device="cpu") as index:
        with pytest.raises(ModelError, match="trust_remote_code=True"):
            index.ingest([tmp_path])
        assert not index.client.indices.exists(index=name)
