"""What `import sorce` offers."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from inspect import isfunction
from pathlib import Path
from typing import Any, get_args, get_type_hints

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
        offered = getattr(sorce, name)
        assert offered.__doc__
        for each in functions(offered):
            # The docstring of a class may be that of its `__init__`, too.
            assert each.__doc__ or each is vars(offered).get("__init__"), f"{name}: {each.__qualname__}"


def test_a_notebook_completes_what_is_offered() -> None:
    assert set(sorce.__all__) <= set(dir(sorce))


INNER = {"Condition", "FileState", "Opener"}
"""Parts that only sorce makes and reads."""


def test_every_kind_of_value_that_a_public_name_takes_or_gives_is_public() -> None:
    public = {getattr(sorce, name) for name in sorce.__all__ if isinstance(getattr(sorce, name), type)}
    named = {
        kind
        for name in sorce.__all__
        for function in functions(getattr(sorce, name))
        for hint in get_type_hints(function, localns={"Image": Image.Image}).values()
        for kind in kinds(hint)
        if kind.__module__.startswith("sorce.")
    }
    assert {kind.__name__ for kind in named - public} == INNER


def functions(offered: Any) -> Iterator[Any]:
    """The offered function; of a class the class itself, for its fields, and its public methods and properties."""
    if not isinstance(offered, type):
        yield from [offered] if callable(offered) else []
        return
    yield offered
    for name, member in vars(offered).items():
        found = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if isfunction(found) and (name == "__init__" or not name.startswith("_")):
            yield found


def kinds(hint: Any) -> Iterator[type]:
    """The classes in a type hint."""
    if isinstance(hint, type):
        yield hint
    for part in get_args(hint):
        yield from kinds(part)


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


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "8"])
def test_a_batch_without_a_size_is_a_sentence(opensearch: str, size: Any) -> None:
    index = sorce.open_index("photos", opensearch, model="mini", batch_size=size)
    with pytest.raises(sorce.ModelError, match=r"batch_size is .*; give a whole number from 1"):
        index._load()


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


def test_an_ingest_goes_on_with_the_commit_and_the_dimension_of_its_index(
    monkeypatch: pytest.MonkeyPatch, opensearch: str, tmp_path: Path
) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    loaded: list[Any] = []
    model = FakeModel()
    model.recipe = replace(model.recipe, regions="tiles")

    def load_model(*given: Any) -> FakeModel:
        loaded.append(given)
        return model

    monkeypatch.setattr(sorce.index, "load_model", load_model)
    name = f"test-api-{uuid.uuid4().hex[:8]}"
    try:
        for _ in range(2):
            with sorce.open_index(name, opensearch, model=model.recipe.model) as index:
                index.ingest([tmp_path])
    finally:
        with connect(opensearch) as client:
            client.indices.delete(index=name)
    new, again = loaded
    assert (new[0].revision, new[-2:]) == (None, (None, None))
    assert (again[0].revision, again[-2:]) == (model.recipe.revision, (model.recipe.dimension, "numpy"))
