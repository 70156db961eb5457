"""The picture half of a dual encoder with its weights in bfloat16, cast once and not for each batch."""

from __future__ import annotations

import copy
from typing import Any

import torch

PARTS = ("vision_model", "visual_projection")
"""The picture half of transformers' dual encoders."""


def halved(model: Any) -> Any:
    """A twin of the network inside a SentenceTransformer, whose picture half computes in bfloat16.

    It shares all else with the network, whose texts stay in float32. None for a network without a picture half of its
    own, or with further modules behind it.
    """
    network: Any = getattr(model[0], "auto_model", None) if hasattr(model, "__len__") and len(model) == 1 else None
    if not hasattr(network, PARTS[0]):
        return None
    twin = copy.copy(network)
    parts = {name: copy.deepcopy(part).to(torch.bfloat16) for name, part in network.named_children() if name in PARTS}
    twin._modules = {**network._modules, **parts}
    return twin
