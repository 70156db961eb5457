"""Opens MM-Grounding-DINO (LLMDet, too) with the heads that its checkpoint holds.

Each decoder layer has its own heads, and the published configurations do not say so: they are older than the setting.
transformers 5 then ties the heads of all layers. It notices that they differ, and still replaces some of them by those
of the first layer, without an error: the boxes are wrong.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch

from sorce.models.checkpoint import Checkpoint
from sorce.models.loading import opening, where
from sorce.models.loading_info import recorded

FAMILY = "mm-grounding-dino"


def open_network(network: Any, checkpoint: Checkpoint, config: Any) -> Any:
    """A network of the class `network` in float32, on the CPU. `config` is the checkpoint's.

    Raises ModelError if weights are unavailable or missing.
    """

    def opened(**more: Any) -> Any:
        # In float32, also on a GPU: in half precision a large photo's box would be off by pixels.
        return network.from_pretrained(checkpoint.place, dtype=torch.float32, **where(checkpoint), **more)

    with opening(checkpoint, "weights"):
        if config.model_type != FAMILY:
            return opened()
        with recorded() as missing:
            own = opened(config=untied(config))
        # Where one head is stored for all layers, the others are missing.
        return opened(config=config) if missing else own


def untied(config: Any) -> Any:
    """A copy of the configuration in which each decoder layer has its own heads."""
    own = deepcopy(config)
    own.decoder_bbox_embed_share = own.decoder_cls_embed_share = False
    return own
