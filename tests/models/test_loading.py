import json
import logging
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from huggingface_hub.utils.tqdm import are_progress_bars_disabled
from PIL import Image
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from transformers import AutoTokenizer, BertConfig, BertModel
from transformers.utils import logging as progress

from sorce.errors import ModelError
from sorce.mappings import Picture
from sorce.models import METHODS, load_encoder, load_model
from sorce.models.quiet import quiet
from sorce.models.tiles import Tiles
from sorce.models.whole import Whole
from tests.kit import families
from tests.kit.fake import FakeModel

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


@pytest.fixture
def lacking(checkpoints, tmp_path):
    """A folder whose weights lack one."""
    folder = shutil.copytree(checkpoints["clip"], tmp_path / "lacking")
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.fault("11.3.1")
def test_missing_weights_are_an_error_and_not_random(lacking):
    assert "lacks weights that its config.json promises ('text_projection.weight')" in refused(lacking)


@pytest.mark.fault("11.3.1")
def test_missing_weights_are_an_error_when_nothing_is_logged(lacking):
    logging.disable(logging.CRITICAL)
    try:
        assert "lacks weights" in refused(lacking)
    finally:
        logging.disable(logging.NOTSET)


def global_state():
    loggers = [logging.getLogger(name) for name in ("", "transformers", "sentence_transformers", "huggingface_hub")]
    return (
        [(list(logger.handlers), list(logger.filters), logger.propagate, logger.level) for logger in loggers],
        [list(handler.filters) for logger in loggers for handler in (*logger.handlers, logging.lastResort)],
        list(warnings.filters),
        progress.is_progress_bar_enabled(),
        are_progress_bars_disabled(),
    )


@pytest.mark.fault("11.3.2")
def test_threads_that_load_at_once_are_both_right_and_leave_logging_as_it_was(folder, lacking):
    before = global_state()

    def load(folder):
        try:
            load_encoder(str(folder), "cpu")
        except ModelError as error:
            return str(error)
        return "loaded"

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(load, [folder, lacking] * 4))
    assert all(text == "loaded" for text in said[::2])
    assert all("lacks weights" in text for text in said[1::2])
    assert global_state() == before


@pytest.mark.fault("11.s.3")
def test_models_loaded_after_two_at_once_have_their_own_weights(folder):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: load_encoder(str(folder), "cpu"), range(8)))
    # This model has tied weights. transformers unties them if another thread has changed its classes.
    assert load_model(str(GOLDEN / "rep-tiny/qwen2vl"), "prompts", device="cpu").recipe.regions == "prompts"


@pytest.fixture
def said():
    """What reaches a handler of transformers' logger."""
    logger, stream = logging.getLogger("transformers"), StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


@pytest.mark.fault("11.3.2")
def test_a_thread_that_ends_does_not_undo_the_quiet_of_another(said):
    logger, before = logging.getLogger("transformers.modeling_utils"), global_state()
    first, second = quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    logger.warning("a word")
    assert said.getvalue() == ""
    second.__exit__(None, None, None)
    assert global_state() == before
    logger.warning("a word")
    assert said.getvalue() == "a word\n"


@pytest.mark.fault("11.s.1")
def test_what_libraries_log_while_a_model_runs_reaches_no_user(said):
    class Loud(FakeModel):
        def embed_texts(self, texts):
            logging.getLogger("transformers.modeling_utils").warning("old argument")
            return super().embed_texts(texts)

    assert len(Loud().embed_texts(["a cup"])) == 1
    assert said.getvalue() == ""


@pytest.mark.fault("11.s.2")
def test_what_libraries_warn_of_while_a_model_runs_reaches_no_user():
    # In a separate process, since pytest decides here which warnings are shown.
    loud = "lambda: warnings.warn('old argument', FutureWarning)"
    code = f"import warnings; from sorce.models.quiet import quietly; quietly({loud})()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stderr == b""


@pytest.mark.fault("11.1.1")
@pytest.mark.parametrize("family", ["llava", "qwen2vl"])
def test_chat_models_get_no_argument_that_goes_away(family):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = load_model(str(GOLDEN / "rep-tiny" / family), "prompts", device="cpu")
        [regions] = model.embed_photos([Picture(Image.new("RGB", (64, 48), "navy"))])
        assert len(model.embed_texts(["a cup"])) == 1
    assert len(regions) == 5
    assert [str(warning.message) for warning in caught if "deprecated" in str(warning.message)] == []


def test_damaged_weights_are_an_error(folder):
    (folder / "model.safetensors").write_bytes(b"nonsense")
    assert "cannot be loaded" in refused(folder)


def test_a_damaged_configuration_is_an_error(folder):
    (folder / "config.json").write_text("{")
    assert "cannot be loaded" in refused(folder)


def test_a_setting_of_another_type_is_an_error(folder):
    said = json.loads((folder / "config.json").read_text())
    said["projection_dim"] = "64"
    (folder / "config.json").write_text(json.dumps(said))
    refused(folder)


def test_a_missing_processor_is_an_error(folder):
    (folder / "processor_config.json").unlink()
    assert "needs config.json, weights, a tokenizer and preprocessor_config.json" in refused(folder)


def test_an_encoder_of_texts_alone_without_a_configuration_is_an_error(tmp_path):
    words = AutoTokenizer.from_pretrained(GOLDEN.parents[1] / "models/mini")
    texts = SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=8)])
    texts.save(str(tmp_path / "static"), create_model_card=False)
    assert "does not encode pictures" in refused(tmp_path / "static")


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
    assert "was not saved as an encoder (no modules.json)" in refused(GOLDEN / "rep-tiny" / "llava")


@pytest.mark.parametrize("dimension", [None, 64])
def test_a_chat_model_that_gives_texts_and_pictures_equally_long_vectors_is_an_error(dimension, tmp_path):
    for folder in (families.qwen3_chat(tmp_path / "chat"), GOLDEN / "objembed-tiny"):
        with pytest.raises(ModelError, match=r"was not saved as an encoder \(no modules\.json\); choose --regions"):
            load_model(str(folder), "tiles", device="cpu", dimension=dimension)


def test_an_unknown_family_is_an_error(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "crystal-ball"}))
    assert "of the family 'crystal-ball', which transformers" in refused(folder)


def test_a_hub_out_of_reach_is_an_error_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "go online, or give a folder" in refused("acme/never-fetched")


def test_loading_says_nothing(folder, capfd):
    load_encoder(str(folder), "cpu")
    assert capfd.readouterr() == ("", "")


def test_logging_and_warnings_are_as_they_were(folder):
    before = global_state()
    load_encoder(str(folder), "cpu")
    assert global_state() == before


def test_a_method_is_loaded_by_its_name(checkpoints):
    folder = str(checkpoints["clip"])
    tiles = load_model(folder, "tiles", {"max_regions": 9}, device="cpu")
    assert isinstance(tiles, Tiles)
    parameters = {**METHODS["tiles"].parameters, "max_regions": 9}
    # Not in the recipe where all tiles are encoded, as in older indices.
    assert parameters.pop("encoded_share") == 1
    assert tiles.recipe.parameters == parameters
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
    with pytest.raises(ModelError, match="'tiles' has no parameter 'size'; it knows only min_object_size, max_regions"):
        load_model(folder, "tiles", {"size": 3}, device="cpu")
    with pytest.raises(ModelError, match="'whole' has no parameter 'max_regions'; it knows none"):
        load_model(folder, "whole", {"max_regions": 3}, device="cpu")
