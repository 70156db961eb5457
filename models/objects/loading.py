"""Opens a detector in its published layout: configuration, image processor, tokenizer, then the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoImageProcessor, AutoModelForObjectDetection, AutoTokenizer, PreTrainedConfig
from transformers import Owlv2ForObjectDetection as OwlNetwork
from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES as CLOSED_SETS

from sorce.errors import ModelError
from sorce.models.checkpoint import FOLDER, Checkpoint, find
from sorce.models.loading import pinned, quiet, why
from sorce.models.objects.settings import USUAL_DETECTOR
from sorce.models.words import knows_words

OWL = "owlv2"
REFUSALS = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, SafetensorError)


def find_detector(name: str) -> Checkpoint:
    """A folder, a name on the hub, or one at a commit as a recipe has it (`owner/name@commit`), pinned.

    Raises ModelError for what is none of them.
    """
    plain, at, revision = name.rpartition("@")
    if Path(name).is_dir() or not at:
        return pinned(find(name))
    if plain == FOLDER:
        raise ModelError(
            "the index was made with a detector from a folder, and an index does not know where; "
            "name that folder as the detector."
        )
    return replace(find(plain), revision=revision)


def named(checkpoint: Checkpoint) -> str:
    """For a recipe: `owner/name@commit`, or `folder@sha256:...`."""
    return f"{checkpoint.model}@{checkpoint.revision}"


def config_of(checkpoint: Checkpoint) -> Any:
    """Its configuration. Raises ModelError where there is none that transformers knows."""
    with _opening(checkpoint, "configuration (config.json)"):
        config: Any = AutoConfig.from_pretrained(checkpoint.place, **_where(checkpoint))
    return config


def is_owl(checkpoint: Checkpoint) -> bool:
    """Whether it is an OWLv2; a checkpoint that has no configuration of its own is none."""
    try:
        with quiet():
            said, _ = PreTrainedConfig.get_config_dict(checkpoint.place, **_where(checkpoint))
    except REFUSALS:
        return False
    return bool(said.get("model_type") == OWL)


def refuse_others(config: Any, checkpoint: Checkpoint) -> None:
    """Raises ModelError for a network that cannot say, unasked, where objects are."""
    if config.model_type != OWL and config.model_type not in CLOSED_SETS:
        raise ModelError(
            f"model '{checkpoint.name}' is a {config.model_type}, which finds no objects by itself; "
            f"choose a detector such as {USUAL_DETECTOR} or PekingU/rtdetr_r50vd."
        )


def open_images(checkpoint: Checkpoint) -> Any:
    """The image processor."""
    with _opening(checkpoint, "image processor (preprocessor_config.json)"):
        opener: Any = AutoImageProcessor
        return opener.from_pretrained(checkpoint.place, **_where(checkpoint))


def open_tokenizer(checkpoint: Checkpoint, config: Any) -> Any:
    """The tokenizer. Raises ModelError where it is missing, too."""
    with _opening(checkpoint, "tokenizer"):
        tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint.place, **_where(checkpoint))
    if not knows_words(tokenizer, config):
        raise ModelError(
            f"the tokenizer of model '{checkpoint.name}' is missing (tokenizer.json); fetch or save it again."
        )
    return tokenizer


def open_network(checkpoint: Checkpoint, config: Any, device: torch.device) -> Any:
    """In float32, also on a GPU: in half precision a box of a large photo would be pixels off."""
    with _opening(checkpoint, "weights"):
        family: Any = OwlNetwork if config.model_type == OWL else AutoModelForObjectDetection
        return family.from_pretrained(checkpoint.place, dtype=torch.float32, **_where(checkpoint)).to(device).eval()


def _where(checkpoint: Checkpoint) -> dict[str, Any]:
    if checkpoint.is_folder:
        return {"local_files_only": True}
    return {"revision": checkpoint.revision}


@contextmanager
def _opening(checkpoint: Checkpoint, part: str) -> Iterator[None]:
    """Quietly, wholly, or a ModelError that names the part."""
    with quiet() as said:
        try:
            yield
        except REFUSALS as error:
            # A package that a family needs, such as timm, is not for a folder to hold.
            torn = "missing or damaged; fetch or save it again"
            cause = torn if checkpoint.is_folder and not isinstance(error, ImportError) else why(error, checkpoint)
            raise ModelError(f"the {part} of model '{checkpoint.name}' cannot be loaded: {cause}.") from error
    # transformers fills weights that a checkpoint lacks with random numbers, and only logs it.
    if any("MISSING" in message for message in said):
        raise ModelError(
            f"model '{checkpoint.name}' lacks weights that its config.json promises; fetch or save it again."
        )
