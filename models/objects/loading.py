"""Opens a detector in its published layout: configuration, image processor, tokenizer, then the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModelForObjectDetection, AutoTokenizer, PreTrainedConfig
from transformers import Owlv2ForObjectDetection as OwlNetwork
from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES as CLOSED_SETS

from sorce.errors import ModelError
from sorce.models.checkpoint import FOLDER, HUB_NAME, Checkpoint, at_commit, find
from sorce.models.hub import pinned
from sorce.models.loading import REFUSALS, opening, quiet_loading, where
from sorce.models.objects.settings import USUAL_DETECTOR
from sorce.models.tokenizer import has_tokenizer

OWL = "owlv2"
# The key in a configuration's `auto_map` for a detector class in the checkpoint's own code.
DETECTORS = "AutoModelForObjectDetection"


def find_detector(name: str) -> Checkpoint:
    """Finds and pins a folder, a name on the hub, or a name at a commit as in a recipe (`owner/name@commit`).

    Raises ModelError for any other name.
    """
    plain, at, revision = name.rpartition("@")
    if Path(name).is_dir() or not at:
        return pinned(find(name))
    if plain == FOLDER:
        raise ModelError(
            "the index was made with a detector from a folder, whose place the index does not store; "
            "give that folder as the detector."
        )
    if not HUB_NAME.fullmatch(plain):
        raise ModelError(f"there is no detector '{name}'; give a folder, or a name on the hub (owner/name).")
    return at_commit(plain, revision)


def named(checkpoint: Checkpoint) -> str:
    """The name in a recipe: `owner/name@commit`, or `folder@sha256:...`."""
    return f"{checkpoint.model}@{checkpoint.revision}"


def config_of(checkpoint: Checkpoint) -> Any:
    """The checkpoint's configuration. Raises ModelError if there is none that transformers knows."""
    with opening(checkpoint, "configuration (config.json)"):
        config: Any = AutoConfig.from_pretrained(checkpoint.place, **where(checkpoint))
    return config


def is_owl(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint is an OWLv2. False if it has no configuration of its own."""
    try:
        with quiet_loading():
            said, _ = PreTrainedConfig.get_config_dict(checkpoint.place, **where(checkpoint))
    except REFUSALS:
        return False
    return bool(said.get("model_type") == OWL)


def refuse_others(config: Any, checkpoint: Checkpoint) -> None:
    """Raises ModelError for a network that cannot find objects without a query."""
    brings_code = checkpoint.trust_remote_code and DETECTORS in (getattr(config, "auto_map", None) or {})
    if config.model_type != OWL and config.model_type not in CLOSED_SETS and not brings_code:
        raise ModelError(
            f"model '{checkpoint.name}' is a {config.model_type}, which cannot find objects; "
            f"choose a detector such as {USUAL_DETECTOR} or PekingU/rtdetr_r50vd."
        )


def open_images(checkpoint: Checkpoint) -> Any:
    """The image processor."""
    with opening(checkpoint, "image processor (preprocessor_config.json)"):
        opener: Any = AutoImageProcessor
        return opener.from_pretrained(checkpoint.place, **where(checkpoint))


def open_tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer. Raises ModelError also if it is missing."""
    with opening(checkpoint, "tokenizer"):
        tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint.place, **where(checkpoint))
    if not has_tokenizer(tokenizer):
        raise ModelError(
            f"the tokenizer of model '{checkpoint.name}' is missing (tokenizer.json); fetch or save it again."
        )
    return tokenizer


def open_network(checkpoint: Checkpoint, config: Any, device: torch.device) -> Any:
    """The network in float32, also on a GPU: in half precision a large photo's box would be off by pixels."""
    with opening(checkpoint, "weights"):
        family: Any = OwlNetwork if config.model_type == OWL else AutoModelForObjectDetection
        return family.from_pretrained(checkpoint.place, dtype=torch.float32, **where(checkpoint)).to(device).eval()
