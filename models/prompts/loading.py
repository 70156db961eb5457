"""Opens a chat model in its published layout: configuration, tokenizer, image processor, then the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AddedToken, AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from sorce.errors import ModelError
from sorce.models.checkpoint import Checkpoint
from sorce.models.hub import pinned
from sorce.models.loading import opening, where
from sorce.models.prompts.families import FAMILIES

LLAVA_IMAGE = "<image>"


@dataclass(frozen=True, slots=True)
class Opened:
    """A chat model without its language-model head, its tokenizer and image processor, and the revision of all."""

    checkpoint: Checkpoint
    config: Any
    tokenizer: Any
    images: Any
    network: Any


def open_chat(checkpoint: Checkpoint, device: torch.device) -> Opened:
    """Raises ModelError if the checkpoint is of another family, or is unavailable or incomplete."""
    checkpoint = pinned(checkpoint)
    with opening(checkpoint, "config.json"):
        config: Any = AutoConfig.from_pretrained(checkpoint.place, **where(checkpoint))
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"model '{checkpoint.name}' is a {config.model_type}, and regional prompts need one of "
            f"{', '.join(FAMILIES)}; choose one such as royokong/e5-v or Qwen/Qwen2-VL-2B-Instruct."
        )
    tokenizer, images = open_processors(checkpoint, config)
    with opening(checkpoint, "weights"):
        model: Any = AutoModelForImageTextToText.from_pretrained(
            checkpoint.place,
            dtype=number_format(config, device),
            # Four-dimensional masks are needed; other kernels take them in other forms.
            attn_implementation="sdpa",
            **where(checkpoint),
        )
    return Opened(checkpoint, config, tokenizer, images, model.model.to(device))


def number_format(config: Any, device: torch.device) -> torch.dtype:
    """Float32 on a CPU. On a GPU float16, as in SORCE's evaluation, unless the checkpoint is in bfloat16.

    A model trained in bfloat16 may overflow in float16.
    """
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if config.dtype == torch.bfloat16 else torch.float16


def open_processors(checkpoint: Checkpoint, config: Any) -> tuple[Any, Any]:
    """The tokenizer and the image processor."""
    # Opened separately: AutoProcessor also needs a video processor, and none of those resizes with Pillow.
    with opening(checkpoint, "image processor (preprocessor_config.json)"):
        opener: Any = AutoImageProcessor
        images = opener.from_pretrained(checkpoint.place, backend="pil", **where(checkpoint))
    with opening(checkpoint, "tokenizer"):
        tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint.place, **where(checkpoint))
    if config.model_type == "llava_next" and LLAVA_IMAGE not in tokenizer.get_vocab():
        # lmms-lab/llama3-llava-next-8b and its fine-tunes expect it as the first token after Llama 3's own.
        tokenizer.add_tokens(AddedToken(LLAVA_IMAGE, normalized=False))
    return tokenizer, images
