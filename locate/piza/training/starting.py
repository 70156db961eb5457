"""A PIZA to train: a saved one, or a base with new parts that change nothing at first."""

from __future__ import annotations

from torch import nn

from sorce.locate.piza.adapters import Adapter
from sorce.locate.piza.folders import is_released
from sorce.locate.piza.loading import OpenedPiza, PizaBase, base_of, is_piza, open_released, open_saved
from sorce.locate.piza.lora import names_in
from sorce.locate.piza.network import PizaNetwork
from sorce.locate.piza.settings import PizaSettings
from sorce.models.checkpoint import find
from sorce.models.hub import pinned
from sorce.models.objects.loading import config_of

SMALL = 0.01


def start(base: str, settings: PizaSettings) -> OpenedPiza:
    """`base` is a detector of transformers by name or folder, or a PIZA, which keeps its own settings.

    Raises ModelError if it is neither, or is unavailable or incomplete.
    """
    if is_released(base):
        return open_released(base)
    checkpoint = pinned(find(base))
    config = config_of(checkpoint)
    if is_piza(config):
        return open_saved(checkpoint, config)
    opened = base_of(checkpoint, config)
    return OpenedPiza(with_new_parts(opened, settings), opened.tokenizer, base)


def with_new_parts(base: PizaBase, settings: PizaSettings) -> PizaNetwork:
    """The adapters start near zero (those of LoRA at zero), so that the network begins as its base."""
    base.config.piza = settings.as_json()
    network = PizaNetwork(base.config)
    weights = names_in(base.weights) if settings.adapter == "lora" else dict(base.weights)
    network.load_state_dict(weights, strict=False)
    if network.low_rank is not None:
        network.low_rank.start()
    for part in network.modules():
        if isinstance(part, Adapter):
            for linear in (part.linear_down, part.linear_up, part.emb_proj):
                if linear is not None:
                    nn.init.normal_(linear.weight, std=SMALL)
                    nn.init.zeros_(linear.bias)
    return network
