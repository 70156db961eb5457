"""A PIZA to train: a saved one, or a base with new parts that change nothing at first."""

from __future__ import annotations

from torch import nn

from sorce.locate.piza.adapters import Adapter
from sorce.locate.piza.folders import holds_piza, is_released
from sorce.locate.piza.loading import OpenedPiza, PizaBase, open_base, open_released, open_saved
from sorce.locate.piza.network import PizaNetwork
from sorce.locate.piza.settings import PizaSettings
from sorce.models.checkpoint import find
from sorce.models.loading import pinned

SMALL = 0.01


def start(base: str, settings: PizaSettings) -> OpenedPiza:
    """`base` is a detector of transformers by name or folder, or a PIZA, which keeps its own settings.

    Raises ModelError if it is neither, or is unavailable or incomplete.
    """
    if is_released(base):
        return open_released(base)
    if holds_piza(base):
        return open_saved(pinned(find(base)))
    opened = open_base(base)
    return OpenedPiza(with_new_parts(opened, settings), opened.tokenizer, base)


def with_new_parts(base: PizaBase, settings: PizaSettings) -> PizaNetwork:
    """The adapters start near zero, so that the network begins as its base."""
    base.config.piza = settings.as_json()
    network = PizaNetwork(base.config)
    network.load_state_dict(dict(base.weights), strict=False)
    for part in network.modules():
        if isinstance(part, Adapter):
            for linear in (part.linear_down, part.linear_up, part.emb_proj):
                if linear is not None:
                    nn.init.normal_(linear.weight, std=SMALL)
                    nn.init.zeros_(linear.bias)
    return network
