"""Writes a PIZA as a folder: config.json, model.safetensors and the tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from sorce.errors import ModelError
from sorce.locate.piza.network import PizaNetwork
from sorce.models.loading import quiet_loading


def save(network: PizaNetwork, tokenizer: Any, folder: Path) -> None:
    """transformers' own layout; config.json has the settings under `piza`. Raises ModelError if it cannot be written.

    With Adapter+, the network is also a plain MM-Grounding-DINO to other programs, which then lacks the adapters.
    """
    with quiet_loading():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            network.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"'{folder}' cannot be written ({error}); name another folder.") from error
