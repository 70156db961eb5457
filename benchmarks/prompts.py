"""Measures of the regions method `prompts`: agreement with the published code, and the gain from sharing the image."""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from figures import Line, at_least, at_most
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from sorce.mappings import Picture, Vector
from sorce.models.checkpoint import find
from sorce.models.prompts import ASKS, TEMPLATES, PromptSettings, RegionalPrompts
from sorce.models.prompts.families import EncodedPhoto

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "rep-tiny"
FAMILIES = {"llava": "LLaVA-NeXT", "qwen2vl": "Qwen2-VL"}
PARITY, SAVING, SAME = 1e-4, 2.5, 2e-5
# 24 x 26 tokens of 28 pixels.
SIZE = (728, 672)
ROUNDS = 7


def measures() -> Iterator[Line]:
    for folder, name in FAMILIES.items():
        yield parity(folder, name)
    yield from sharing()


def parity(folder: str, name: str) -> Line:
    """The largest deviation of any number from the released code's, in float32 on the CPU."""
    inputs, expected = np.load(GOLDEN / "inputs.npz"), np.load(GOLDEN / "expected.npz")
    photos = [Picture(Image.fromarray(inputs[f"image{number}"])) for number in range(3)]
    model = RegionalPrompts(find(str(GOLDEN / folder)), device="cpu")
    semantic = RegionalPrompts(find(str(GOLDEN / folder)), PromptSettings(prompts="semantic"), device="cpu")
    texts = model.embed_texts([str(caption) for caption in inputs["captions"]])
    images = _vectors(model, photos)
    deviations = {
        "image_positional": images,
        "image_semantic": _vectors(semantic, photos),
        "text": texts,
        "scores_max5": np.einsum("td,prd->tpr", texts, images).max(2),
    }
    worst = max(float(np.abs(ours - expected[f"{folder}/{what}"]).max()) for what, ours in deviations.items())
    return at_most(f"prompts: deviation from the released code, {name}", worst, PARITY)


def sharing() -> Iterator[Line]:
    """One pass over the image with five prompts, compared with five full passes by transformers alone."""
    with TemporaryDirectory() as temporary:
        folder = _checkpoint(Path(temporary) / "qwen2vl")
        model = RegionalPrompts(find(str(folder)), device="cpu")
        noise = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
        seen = model.prepare(Picture(Image.fromarray(noise)))
        network: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        prompts = _prompts(folder, network, seen)
        shared = np.stack([region.vec for region in model.encode([seen])[0]])
        same = float(np.abs(shared - _full_passes(network, prompts, seen)).max())
        ratios = [
            _seconds(lambda: _full_passes(network, prompts, seen)) / _seconds(lambda: model.encode([seen]))
            for _ in range(ROUNDS)
        ]
    note = f"{seen.image_tokens} image tokens; {ROUNDS} rounds from {min(ratios):.2f} to {max(ratios):.2f}"
    yield at_least("prompts: five full passes / shared image (time)", statistics.median(ratios), SAVING, note)
    yield at_most("prompts: five full passes and shared image apart", same, SAME)


def _vectors(model: RegionalPrompts, photos: list[Picture]) -> Vector:
    return np.array([[region.vec for region in regions] for regions in model.embed_photos(photos)], np.float32)


def _checkpoint(folder: Path) -> Path:
    """A Qwen2-VL with random weights, large enough that its passes take longer than the Python code around them."""
    shutil.copytree(GOLDEN / "qwen2vl", folder, ignore=shutil.ignore_patterns("config.json", "*.safetensors"))
    config: Any = AutoConfig.from_pretrained(GOLDEN / "qwen2vl")
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = 256, 688, 6
    text.rope_parameters["mrope_section"] = [8, 12, 12]
    text.layer_types = ["full_attention"] * text.num_hidden_layers
    vision.hidden_size = text.hidden_size
    torch.manual_seed(0)
    auto: Any = AutoModelForImageTextToText
    auto.from_config(config).save_pretrained(folder)
    return folder


def _prompts(folder: Path, network: Any, seen: EncodedPhoto) -> list[torch.Tensor]:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    token = tokenizer.convert_ids_to_tokens(network.config.image_token_id)
    asked = [TEMPLATES["qwen2"].asking(ask).replace(token, token * seen.image_tokens) for ask in ASKS["positional"]]
    return [tokenizer(prompt, return_tensors="pt")["input_ids"] for prompt in asked]


@torch.inference_mode()
def _full_passes(network: Any, prompts: list[torch.Tensor], seen: EncodedPhoto) -> Vector:
    image = network.config.image_token_id
    states = torch.cat(
        [
            network.model(input_ids=ids, mm_token_type_ids=(ids == image).int(), **seen.pixels).last_hidden_state[:, -1]
            for ids in prompts
        ]
    )
    return np.asarray(states / states.norm(dim=1, keepdim=True), np.float32)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    for line in measures():
        sys.stdout.write(f"{line}\n")
