import json
import logging
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertConfig, BertModel

from sorce.errors import ModelError
from sorce.models import METHODS, load_encoder, load_model
from sorce.models.tiles import Tiles
from sorce.models.whole import Whole

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def folder(checkpoints, tmp_path):
    return shutil.copytree(checkpoints["clip"], tmp_path / "copy")


def refused(folder):
    with pytest.raises(ModelError) as caught:
        load_encoder(str(folder), "cpu")
    message = str(caught.value)
    assert message.startswith(("model '", "'"))
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_missing_weights_are_an_error_and_not_random(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        assert "lacks weights" in refused(folder)
    finally:
        logging.getLogger("transformers").setLevel(logging.WARNING)


def test_damaged_weights_are_an_error(folder):
    (folder / "model.safetensors").write_bytes(b"nonsense")
    assert "cannot be loaded" in refused(folder)


def test_a_damaged_configuration_is_an_error(folder):
    (folder / "config.json").write_text("{")
    assert "cannot be loaded" in refused(folder)


def test_a_missing_processor_is_an_error(folder):
    (folder / "processor_config.json").unlink()
    assert "needs config.json, weights, a tokenizer and preprocessor_config.json" in refused(folder)


def test_a_missing_tokenizer_is_an_error(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert "does not encode texts, or has no tokenizer.json" in refused(folder)


def test_a_model_of_texts_only_is_an_error(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    shutil.rmtree(folder)
    config = BertConfig(
        vocab_size=600, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert "cannot be loaded: Can't load image processor" in refused(folder)


def test_a_chat_model_is_an_error():
    assert "has no tower of its own for texts and for pictures" in refused(GOLDEN / "rep-tiny" / "llava")


def test_an_unknown_family_is_an_error(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "crystal-ball"}))
    assert "cannot be loaded" in refused(folder)


def test_a_hub_out_of_reach_is_an_error_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "go online, or give a folder" in refused("acme/never-fetched")


def test_loading_says_nothing(folder, capfd):
    load_encoder(str(folder), "cpu")
    assert capfd.readouterr() == ("", "")


def test_loggers_are_as_they_were(folder):
    logger = logging.getLogger("transformers")
    before = (list(logger.handlers), logger.propagate, logger.level)
    load_encoder(str(folder), "cpu")
    assert (list(logger.handlers), logger.propagate, logger.level) == before


def test_a_method_is_loaded_by_its_name(checkpoints):
    folder = str(checkpoints["clip"])
    tiles = load_model(folder, "tiles", {"max_regions": 9}, device="cpu")
    assert isinstance(tiles, Tiles)
    assert tiles.recipe.parameters == {**METHODS["tiles"].parameters, "max_regions": 9}
    assert isinstance(load_model(folder, "whole", device="cpu"), Whole)


def test_a_search_loads_what_made_the_index(checkpoints):
    folder = str(checkpoints["siglip"])
    model = load_model(folder, device="cpu")
    encoder = load_encoder(model.recipe, "cpu", folder)
    assert (encoder.embed_texts(["a cup"]) == model.embed_texts(["a cup"])).all()


def test_an_unknown_method_or_parameter_is_refused(checkpoints):
    folder = str(checkpoints["clip"])
    with pytest.raises(ModelError, match="no regions method 'guess'; choose one of whole, tiles"):
        load_model(folder, "guess", device="cpu")
    with pytest.raises(ModelError, match="'tiles' has no parameter 'size'; it knows only smallest, most"):
        load_model(folder, "tiles", {"size": 3}, device="cpu")
    with pytest.raises(ModelError, match="'whole' has no parameter 'most'; it knows none"):
        load_model(folder, "whole", {"max_regions": 3}, device="cpu")
