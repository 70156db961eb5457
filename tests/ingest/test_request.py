"""What a run opens: by its command line, by the index, and in the processes of Ray."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sorce.errors import ModelError
from sorce.ingest.request import Loading, Request
from sorce.mappings import Recipe
from sorce.models.checkpoint import Checkpoint, find
from tests.kit import owl, tiny

COMMIT = "a" * 40


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.clip(tmp_path_factory.mktemp("clip"))


def loading(model: Path, regions: str = "whole", **parameters: str) -> Loading:
    return Loading(find(str(model)), regions, parameters, "cpu", 64, trust_remote_code=False, dimension=None)


def request_of(**given: object) -> Request:
    unset: dict[str, object] = {each.name: None for each in fields(Request)}
    return Request(**(unset | {"parameters": (), "index": "photos", "device": "cpu", "batch_size": 64} | given))  # type: ignore[arg-type]


def recipe_of(detector: str) -> Recipe:
    return Recipe("acme/clip", COMMIT, "objects", 16, "torchvision", {"detector": detector})


def test_a_worker_reads_the_folder_that_is_on_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.clip(tmp_path / "clip")
    monkeypatch.chdir(tmp_path)
    here = loading(Path("clip"))
    recipe = here().recipe
    there = here.elsewhere(recipe)
    monkeypatch.chdir("/")
    assert there().recipe == recipe
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"note": "another copy"}))
    assert there().recipe != recipe


def test_a_worker_finds_a_detector_and_boxes_of_a_relative_path(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owl.owlv2(tmp_path / "owl")
    (tmp_path / "boxes.jsonl").write_text('{"image": "a.jpg", "boxes": []}\n')
    monkeypatch.chdir(tmp_path)
    for name in ("./owl", "boxes.jsonl"):
        here = loading(clip, "objects", detector=name)
        recipe = here().recipe
        there = here.elsewhere(recipe)
        assert there.parameters["detector"] == str(tmp_path / Path(name).name)
        with monkeypatch.context() as moved:
            moved.chdir("/")
            assert there().recipe == recipe


@pytest.mark.parametrize("given", [{"detector": "acme/owl"}, {}])
def test_a_worker_takes_the_commit_of_a_detector_that_the_recipe_has(clip: Path, given: dict[str, str]) -> None:
    there = loading(clip, "objects", **given).elsewhere(recipe_of(f"acme/owl@{COMMIT}"))
    assert there.parameters["detector"] == f"acme/owl@{COMMIT}"


def test_a_worker_takes_the_commit_of_a_model_of_the_hub(clip: Path) -> None:
    newest = replace(loading(clip), checkpoint=Checkpoint("acme/clip", "acme/clip", None))
    there = newest.elsewhere(Recipe("acme/clip", COMMIT, "whole", 16, "torchvision"))
    assert there.checkpoint.revision == COMMIT
    assert there.parameters == {}


@pytest.mark.parametrize("detector", ["{folder}", "./clip", "clip", "acme/owl", "acme/owl@main", "boxes.jsonl", ""])
def test_an_index_never_decides_which_local_detector_is_read(
    clip: Path, detector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    there = recipe_of(detector.format(folder=clip))
    with pytest.raises(ModelError, match="an index does not decide which local files are read"):
        request_of(trust_remote_code=True).loading(there)
    assert request_of(parameters=["detector=./clip"]).loading(there).parameters["detector"] == "./clip"


@pytest.mark.parametrize("detector", ["auto", "file", f"acme/owl@{COMMIT}", "folder@sha256:0"])
def test_the_detector_of_an_index_is_taken_if_it_is_no_local_file(
    detector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert request_of().loading(recipe_of(detector)).parameters["detector"] == detector


@pytest.mark.parametrize("detector", [f"acme/owl@{COMMIT}", "folder@sha256:0"])
def test_a_folder_that_is_named_like_the_detector_of_an_index_is_not_read(
    detector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / detector).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="an index does not decide which local files are read"):
        request_of().loading(recipe_of(detector))
