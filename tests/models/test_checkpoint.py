import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from sorce.errors import ModelError
from sorce.mappings import Recipe
from sorce.models import load_encoder, load_model
from sorce.models.checkpoint import Checkpoint, content_hash, find, find_again
from sorce.models.encoder import Encoder
from sorce.models.loading import refuse_unpinned
from sorce.models.objects.loading import find_detector


@pytest.fixture
def folder(checkpoints, tmp_path):
    return shutil.copytree(checkpoints["clip"], tmp_path / "copy")


@pytest.fixture(scope="module")
def recipe(encoders):
    return encoders["clip"].recipe("whole", {})


def test_a_copy_elsewhere_is_the_same_revision(checkpoints, folder):
    assert content_hash(folder) == content_hash(checkpoints["clip"])


@pytest.mark.parametrize(
    "name", ["README.md", "training.json", ".git/config.json", "training/concepts.json", "train.py"]
)
def test_what_cannot_change_a_vector_is_not_in_the_revision(folder, name):
    before = content_hash(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    assert content_hash(folder) == before


@pytest.mark.parametrize("name", ["tokenizer.json", "processor_config.json", "model.safetensors", "config.json"])
def test_what_can_change_a_vector_is_in_the_revision(folder, name):
    before = content_hash(folder)
    with (folder / name).open("ab") as file:
        file.write(b" ")
    assert content_hash(folder) != before


def test_a_renamed_file_is_another_revision(folder):
    before = content_hash(folder)
    (folder / "config.json").rename(folder / "other.json")
    assert content_hash(folder) != before


def test_mini_comes_along():
    checkpoint = find("mini")
    assert (checkpoint.model, checkpoint.name) == ("mini", "mini")
    assert str(checkpoint.revision).startswith("sha256:")


def test_a_name_that_is_no_folder_is_one_on_the_hub():
    checkpoint = find("google/siglip2-base-patch16-256")
    assert (checkpoint.model, checkpoint.revision) == ("google/siglip2-base-patch16-256", None)


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "a/b/c", "", "mimi"])
def test_what_can_be_neither_is_refused(name):
    with pytest.raises(ModelError, match="there is no folder"):
        find(name)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"holds no model \(no config.json\)"):
        find(str(tmp_path))


def test_an_index_made_from_a_folder_needs_to_be_told_where(recipe, folder):
    with pytest.raises(ModelError, match="name the folder"):
        find_again(recipe)
    assert find_again(recipe, str(folder)).place == str(folder)


def test_another_folder_than_the_indexs_is_refused(recipe, folder):
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="made with another model than"):
        find_again(recipe, str(folder))


def test_an_index_made_with_another_mini_is_refused(recipe):
    there = find("mini")
    assert find_again(replace(recipe, model="mini", revision=str(there.revision))) == there
    with pytest.raises(ModelError, match=r"'mini' .*`sorce ingest --alias ALIAS`, which makes a new index"):
        find_again(replace(recipe, model="mini"))


def test_an_index_made_from_the_hub_asks_for_its_very_commit(recipe):
    found = find_again(replace(recipe, model="acme/clip", revision="a" * 40))
    assert (found.place, found.revision) == ("acme/clip", "a" * 40)


def test_a_checkpoint_of_the_hub_gets_its_commit(checkpoints, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "models--acme--clip"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    shutil.copytree(checkpoints["clip"], cache / "snapshots" / commit)
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    encoder = Encoder(find("acme/clip"), "cpu")
    assert encoder.recipe("whole", {}).revision == commit
    assert encoder.recipe("whole", {}).model == "acme/clip"
    again = Encoder(find_again(encoder.recipe("whole", {})), "cpu")
    assert again.checkpoint.revision == commit
    vectors = load_encoder(encoder.recipe("whole", {}), "cpu", texts_first=True).embed_texts(["a cup"])
    np.testing.assert_array_equal(vectors, encoder.embed_texts(["a cup"]))
    with pytest.raises(ModelError, match="acme/clip"):
        Encoder(replace(encoder.checkpoint, revision="f" * 40), "cpu")


@pytest.mark.parametrize("trust", [True, False])
@pytest.mark.parametrize("is_alone", [True, False])
def test_an_adapter_is_refused_since_the_version_of_its_base_is_not_known(is_alone, trust, tmp_path, checkpoints):
    folder = tmp_path / "adapter"
    if is_alone:
        folder.mkdir()
    else:
        shutil.copytree(checkpoints["clip"], folder)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "other/base"}))
    said = "is an adapter of 'other/base', whose version is not pinned; merge both"
    with pytest.raises(ModelError, match=said):
        load_model(str(folder), "tiles", device="cpu", trust_remote_code=trust)
    with pytest.raises(ModelError, match=said):
        load_encoder(str(folder), "cpu", trust_remote_code=trust, texts_first=True)
    on_the_hub = Checkpoint("acme/adapter", str(folder), None, trust_remote_code=trust)
    with pytest.raises(ModelError, match=said):
        refuse_unpinned(on_the_hub)


@pytest.mark.fault("4.3.1", "4.3.2", "4.s.7")
@pytest.mark.parametrize("model", ["{folder}", "../clip", "./clip", "~/clip", "clip", "a/b/c"])
def test_an_index_never_decides_which_local_files_are_read(folder, model, monkeypatch):
    monkeypatch.chdir(folder.parent)
    recipe = Recipe(model.format(folder=folder), "a" * 40, "whole", 8, "numpy")
    with pytest.raises(ModelError, match="an index does not decide which local files are read"):
        find_again(recipe)


@pytest.mark.fault("4.s.8")
def test_a_folder_that_is_named_like_the_hubs_model_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "acme" / "clip").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="would be read instead of the hub's model"):
        find_again(Recipe("acme/clip", "a" * 40, "whole", 8, "numpy"))


@pytest.mark.fault("4.s.9")
@pytest.mark.parametrize("revision", ["../../../secret", "main", "", "A" * 40])
def test_an_index_names_a_commit_and_nothing_else(revision):
    with pytest.raises(ModelError, match="no name and commit of the hub"):
        find_again(Recipe("acme/clip", revision, "whole", 8, "numpy"))


@pytest.mark.fault("5.2.1")
def test_another_model_than_the_index_was_made_with_is_refused(folder):
    hub, mini = Recipe("acme/clip", "a" * 40, "whole", 8, "numpy"), Recipe("mini", "sha256:0", "whole", 8, "numpy")
    for recipe in (hub, mini):
        for named in ("other/clip", str(folder)):
            with pytest.raises(ModelError, match=r"was made with model .*; leave the model out"):
                find_again(recipe, named)
    assert find_again(hub, "acme/clip").place == "acme/clip"


def test_a_folder_that_is_named_like_the_hubs_detector_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "acme" / "owl").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="would be read instead of the hub's model"):
        find_detector(f"acme/owl@{'a' * 40}")
