"""A dual encoder whose own Python code defines it, such as FG-CLIP 2: opened without sentence-transformers."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from packaging.version import Version
from transformers import __version__ as transformers_version

from sorce.errors import ModelError
from sorce.models.checkpoint import Checkpoint
from sorce.models.families import EncoderFamily
from sorce.models.loading import opening, where
from sorce.models.towers import Towers

_AutoImageProcessor: Any = transformers.AutoImageProcessor


def open_own_code(checkpoint: Checkpoint, family: EncoderFamily, device: torch.device, dtype: torch.dtype) -> Towers:
    """Raises ModelError if the code may not run, or does not fit the installed transformers."""
    if Version(transformers_version) < Version(family.since):
        raise ModelError(
            f"model '{checkpoint.name}' is of the family {family.name}, whose own Python code needs transformers "
            f"{family.since} or newer, and {transformers_version} is installed: "
            f"pip install 'transformers>={family.since}'."
        )
    place, options = checkpoint.place, where(checkpoint)
    with opening(checkpoint, "network"):
        network = getattr(transformers, str(family.auto_class)).from_pretrained(place, dtype=dtype, **options)
    with opening(checkpoint, "tokenizer or preprocessor_config.json"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **options)
        images = _AutoImageProcessor.from_pretrained(place, **options)
    return Towers(network.to(device), tokenizer, images)
