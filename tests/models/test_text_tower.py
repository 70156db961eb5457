"""The text half by itself: the same vectors as the whole encoder's, without what only pictures need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from sorce.errors import ModelError
from sorce.locate.zoom import dual_encoder
from sorce.models import load_encoder
from sorce.models.checkpoint import find
from sorce.models.encoder import Encoder
from sorce.models.text_tower import TextTower, open_text_tower
from tests.kit import families, tiny

TEXTS = ["a small red umbrella", "A Cup of TEA, on the left!", "x", "the third cup from the left " * 9, "half \ud800"]
MAKERS: dict[str, Callable[[Path], Path]] = {
    "clip": tiny.clip,
    "openclip": families.openclip,
    "metaclip_2": families.metaclip2,
    "siglip": tiny.siglip,
    "siglip2": tiny.siglip2,
    "tipsv2": families.tipsv2,
}


def tower(folder: Path | str) -> TextTower | None:
    checkpoint = find(str(folder))
    return open_text_tower(checkpoint, "cpu", 64, lambda: Encoder(checkpoint, "cpu"))


@pytest.mark.parametrize("family", MAKERS)
def test_the_vectors_are_those_of_the_whole_encoder_bit_for_bit(family: str, tmp_path: Path) -> None:
    folder = MAKERS[family](tmp_path)
    found = tower(folder)
    assert found is not None
    whole = Encoder(find(str(folder)), "cpu")
    np.testing.assert_array_equal(found.embed_texts(TEXTS), whole.embed_texts(TEXTS))
    np.testing.assert_array_equal(found.embed_texts(TEXTS[:1]), whole.embed_texts(TEXTS[:1]))


def test_the_text_half_of_mini_needs_no_sentence_transformers() -> None:
    # One process makes both vectors: with another number of threads, torch adds up in another order.
    code = (
        "import sys; from sorce.models import load_encoder\n"
        "vector = load_encoder('mini', 'cpu', texts_first=True).embed_texts(['a dog'])\n"
        "assert not {'sentence_transformers', 'peft'} & set(sys.modules)\n"
        "whole = load_encoder('mini', 'cpu')\n"
        "print(type(whole).__name__, (vector == whole.embed_texts(['a dog'])).all(), vector.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "Encoder True (1, 128)\n")


def test_the_picture_half_is_not_made(tmp_path: Path) -> None:
    found = tower(tiny.clip(tmp_path))
    assert found is not None
    assert found._half is not None
    assert len(found._half[0].network.vision_model.encoder.layers) == 0


def test_the_first_picture_opens_the_whole_encoder_which_does_the_texts_from_then_on(tmp_path: Path) -> None:
    found, whole = tower(tiny.clip(tmp_path)), Encoder(find(str(tmp_path)), "cpu")
    assert found is not None
    before = found.embed_texts(TEXTS)
    images = [Image.new("RGB", (40, 30), "red"), Image.new("RGB", (9, 50), "blue")]
    np.testing.assert_array_equal(found.embed_images(images), whole.embed_images(images))
    assert found._half is None
    np.testing.assert_array_equal(found.embed_texts(TEXTS), before)
    assert dual_encoder(found) is found.encoder


def test_a_localiser_gets_the_whole_encoder_of_a_text_half(tmp_path: Path) -> None:
    tiny.clip(tmp_path)
    assert isinstance(dual_encoder(load_encoder(str(tmp_path), "cpu", texts_first=True)), Encoder)


def test_a_broken_picture_half_is_told_when_a_picture_is_encoded(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.clip(tmp_path / "whole"), tmp_path / "lacking"))
    weights = load_file(folder / "model.safetensors")
    del weights["vision_model.encoder.layers.0.mlp.fc1.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    found = load_encoder(str(folder), "cpu", texts_first=True)
    before = found.embed_texts(TEXTS)
    for _ in range(2):
        with pytest.raises(ModelError, match=r"lacks weights .*'vision_model.encoder.layers.0.mlp.fc1.weight'"):
            found.embed_images([Image.new("RGB", (9, 9))])
    np.testing.assert_array_equal(found.embed_texts(TEXTS), before)


@pytest.mark.parametrize("name", ["modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"])
def test_files_of_sentence_transformers_need_the_whole_encoder(name: str, tmp_path: Path) -> None:
    (tiny.clip(tmp_path) / name).write_text("[]")
    assert tower(tmp_path) is None


def test_a_network_of_one_tower_is_opened_whole(tmp_path: Path) -> None:
    folder = families.embedding_gemma2(tmp_path)
    assert tower(folder) is None
    assert isinstance(load_encoder(str(folder), "cpu", texts_first=True), Encoder)


def test_a_checkpoint_without_a_tokenizer_is_told_by_the_whole_encoder(tmp_path: Path) -> None:
    folder = tiny.clip(tmp_path)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load_encoder(str(folder), "cpu", texts_first=True)


def test_missing_weights_of_the_text_half_are_an_error(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny.clip(tmp_path / "whole"), tmp_path / "lacking"))
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights .*'text_projection.weight'"):
        tower(folder)
