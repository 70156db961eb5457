"""What `import sorce` offers."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from PIL import Image

import sorce
import sorce.index
from sorce.cluster import connect
from sorce.ingest.alias import switch
from sorce.mappings import Recipe
from tests.kit.fake import FakeModel


def test_everything_that_is_offered_can_be_had_and_says_what_it_is() -> None:
    for name in sorce.__all__:
        assert getattr(sorce, name).__doc__


def test_every_error_is_a_sorce_error() -> None:
    errors = [getattr(sorce, name) for name in sorce.__all__ if isinstance(getattr(sorce, name), type)]
    assert all(issubclass(each, sorce.SorceError) for each in errors if issubclass(each, Exception))


def test_importing_it_is_cheap() -> None:
    script = "import sys, sorce; sys.exit(bool({'torch', 'opensearchpy', 'PIL'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_index_that_lives_on_follows_its_alias_and_loads_no_encoder_twice(opensearch: str, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    loaded: list[str] = []

    def load_encoder(recipe: Recipe) -> FakeModel:
        loaded.append(recipe.revision)
        return FakeModel(recipe.revision)

    alias = f"test-api-{uuid.uuid4().hex[:8]}"
    with connect(opensearch) as client:
        living = sorce.Index(client, alias, FakeModel, load_encoder)
        try:
            for name, revision in {"a": "1", "b": "1", "c": "2"}.items():
                model = FakeModel(revision)
                sorce.Index(client, f"{alias}-{name}", lambda model=model: model).ingest([tmp_path])
                before = switch(client, alias, f"{alias}-{name}", None)
                if before is not None:
                    client.indices.delete(index=before)
                assert [hit.file_name for hit in living.search("a red thing")] == ["a.png"]
        finally:
            client.indices.delete(index=f"{alias}-*")
    assert loaded == [40 * "1", 40 * "2"]


@pytest.mark.fault("5.4.1", "5.4.2")
def test_a_search_takes_the_folder_and_the_device_that_were_named(
    monkeypatch: pytest.MonkeyPatch, opensearch: str
) -> None:
    asked: list[tuple[object, ...]] = []

    def load_encoder(*arguments: object, texts_first: bool) -> FakeModel:
        assert texts_first
        asked.append(arguments)
        return FakeModel()

    monkeypatch.setattr(sorce.index, "load_encoder", load_encoder)
    index = sorce.open_index("photos", opensearch, model="./folder", device="cpu", batch_size=8)
    recipe = FakeModel().recipe
    index._encoder_of(recipe)
    assert asked == [(recipe, "cpu", "./folder", False, 8)]


@pytest.mark.fault("5.3.5")
def test_one_folder_may_be_given_by_itself(opensearch: str, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    name = f"test-api-{uuid.uuid4().hex[:8]}"
    with connect(opensearch) as client:
        try:
            for photos in (str(tmp_path), tmp_path):
                assert sorce.Index(client, name, FakeModel).ingest(photos).photos == 1
        finally:
            client.indices.delete(index=name)
