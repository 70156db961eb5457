"""Tiny ObjEmbeds with random weights in the published layout: one made here, and one from the released code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoTokenizer

from sorce.mappings import Vector
from sorce.models.objembed.network import Network
from sorce.models.objembed.prompts import TOKENS
from tests.kit import chat

GOLDEN = Path(__file__).parents[1] / "golden/objembed-tiny"
"""A tiny checkpoint, and the outputs of the released code for it."""
SCALE, BIAS = 3.0, -9.0


def objembed(folder: Path, use_two_tokens: int | None = 2) -> Path:
    """The layout of fushh7/ObjEmbed-2B, with vectors of 64 numbers."""
    config = chat.qwen3_config()
    if use_two_tokens is not None:
        config.use_two_tokens = use_two_tokens
    network = Network(config)
    with torch.no_grad():
        network.logit_log_scale.fill_(SCALE)
        network.logit_bias.fill_(BIAS)
    chat.patches_of_16(chat.save(folder, network))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(TOKENS)})
    tokenizer.save_pretrained(folder)
    return folder


def write_boxes(file: Path, photos: Mapping[str, Vector]) -> str:
    """A file of boxes, by photo name."""
    lines = (json.dumps({"image": name, "boxes": boxes.tolist()}) for name, boxes in photos.items())
    file.write_text("\n".join(lines))
    return str(file)


def noise(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 80).convert("RGB")
