"""Opens ObjEmbed in its published layout: configuration, tokenizer, image processor, then the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sorce.errors import ModelError
from sorce.models.checkpoint import Checkpoint
from sorce.models.hub import pinned
from sorce.models.loading import opening, where
from sorce.models.objects.loading import config_of
from sorce.models.objembed.network import Network
from sorce.models.objembed.prompts import IMAGE_TOKEN, PHOTOS, TOKENS
from sorce.models.prompts.loading import Opened, number_format, open_processors

FAMILY = "qwen3_vl"
USUAL = "fushh7/ObjEmbed-2B"


def open_objembed(checkpoint: Checkpoint, device: torch.device) -> Opened:
    """Raises ModelError if the checkpoint is no ObjEmbed, lacks a part, or is unavailable."""
    checkpoint = pinned(checkpoint)
    config = config_of(checkpoint)
    if config.model_type != FAMILY:
        raise ModelError(
            f"model '{checkpoint.name}' is a {config.model_type}, and ObjEmbed is a {FAMILY}; "
            f"choose one such as {USUAL}."
        )
    if use_two_tokens(config) not in PHOTOS:
        raise ModelError(
            f"the configuration of model '{checkpoint.name}' says use_two_tokens={use_two_tokens(config)}, "
            "and ObjEmbed has 0, 1 or 2; fetch it again."
        )
    tokenizer, images = open_processors(checkpoint, config)
    _refuse_missing_tokens(checkpoint, config, tokenizer.get_vocab())
    network = _open_network(checkpoint, number_format(config, device)).to(device).eval()
    return Opened(checkpoint, config, tokenizer, images, network)


def use_two_tokens(config: Any) -> Any:
    """The layout of the whole photo's tokens: number and position. Like the released code, 0 if not configured."""
    return getattr(config, "use_two_tokens", 0)


def _refuse_missing_tokens(checkpoint: Checkpoint, config: Any, known: Mapping[str, int]) -> None:
    missing = [token for token in TOKENS if token not in known]
    if known.get(IMAGE_TOKEN) != config.image_token_id:
        missing.append(f"{IMAGE_TOKEN} of number {config.image_token_id}")
    if missing:
        raise ModelError(
            f"the tokenizer of model '{checkpoint.name}' has no token {missing[0]}, which ObjEmbed reads; "
            f"fetch or save it again, or choose one such as {USUAL}."
        )


def _open_network(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    with opening(checkpoint, "weights"):
        opener: Any = Network
        network, said = opener.from_pretrained(
            checkpoint.place,
            dtype=dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
            **where(checkpoint),
        )
        # Checked inside `opening`: its own check only says that weights are missing.
        if missing := sorted(said["missing_keys"]):
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            raise ModelError(
                f"model '{checkpoint.name}' lacks the parameter '{missing[0]}'{more}, and without it is no ObjEmbed; "
                f"fetch or save it again, or choose one such as {USUAL}."
            )
    return network
