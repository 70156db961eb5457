"""Tiny chat models with random weights in the layouts of Qwen2-VL's successors, and the results of full passes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen3VLConfig,
)

from sorce.mappings import Vector
from sorce.models.prompts import ASKS, Template
from sorce.models.prompts.families import EncodedPhoto

GOLDEN = Path(__file__).parents[1] / "golden" / "rep-tiny"
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 416,
}
TOKENS = {"image_token_id": 405, "video_token_id": 406, "vision_start_token_id": 403, "vision_end_token_id": 404}


def qwen2_5(folder: Path) -> Path:
    """The layout of Qwen/Qwen2.5-VL-3B-Instruct. One layer of the vision tower sees all, the others see windows."""
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
    }
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    config = Qwen2_5_VLConfig(text_config=TEXT | {"rope_parameters": rope}, vision_config=vision, **TOKENS)
    return _save(folder, config)


def qwen3(folder: Path) -> Path:
    """The layout of Qwen/Qwen3-VL-2B-Instruct."""
    return patches_of_16(_save(folder, qwen3_config()))


def qwen3_config() -> Qwen3VLConfig:
    """Patches of 16 pixels, and features of inner layers in addition to the last."""
    vision = {
        "depth": 3,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": 64,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    }
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [3, 3, 2], "mrope_interleaved": True}
    text = TEXT | {"head_dim": 16, "rope_parameters": rope}
    return Qwen3VLConfig(text_config=text, vision_config=vision, **TOKENS)


def patches_of_16(folder: Path) -> Path:
    processor = folder / "preprocessor_config.json"
    processor.write_text(processor.read_text().replace('"patch_size": 14', '"patch_size": 16'))
    return folder


def _save(folder: Path, config: PreTrainedConfig) -> Path:
    return save(folder, AutoModelForImageTextToText.from_config(config))


def save(folder: Path, model: PreTrainedModel) -> Path:
    """With random weights, and with the golden Qwen2-VL's tokenizer and image processor."""
    shutil.copytree(GOLDEN / "qwen2vl", folder, ignore=shutil.ignore_patterns("config.json", "*.safetensors"))
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                # With the usual initial weights, all photos would get nearly the same vector.
                weights.normal_(std=weights[0].numel() ** -0.5)
    model.save_pretrained(folder)
    return folder


def five_passes(folder: Path, template: Template, photo: EncodedPhoto) -> Vector:
    """Each prompt in its own full pass, by transformers alone: unit vectors (5, dimension)."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    token = tokenizer.convert_ids_to_tokens(model.config.image_token_id)
    states = []
    for ask in ASKS["positional"]:
        prompt = template.asking(ask).replace(token, token * photo.image_tokens)
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        states.append(_last(model, {"input_ids": ids, **_kinds(model, ids), **photo.pixels}))
    vectors = torch.stack(states)
    return np.asarray(vectors / vectors.norm(dim=1, keepdim=True), np.float32)


def _kinds(model: Any, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Qwen-VL's positions depend on which tokens are an image's."""
    if model.config.model_type == "llava_next":
        return {}
    return {"mm_token_type_ids": (ids == model.config.image_token_id).int()}


@torch.inference_mode()
def _last(model: Any, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
    last: torch.Tensor = model.model(**features).last_hidden_state[0, -1]
    return last
