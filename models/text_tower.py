"""The text half of a dual encoder by itself: all that a search by texts needs.

Neither the picture half nor sentence-transformers is loaded, which saves time and memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from torch import Tensor

from sorce.mappings import Vector
from sorce.models.batches import Batches
from sorce.models.checkpoint import Checkpoint
from sorce.models.families import EncoderFamily, family_of
from sorce.models.hub import pinned
from sorce.models.loading import lacks, opening, pick_device, settings_of, where
from sorce.models.model import TextEncoder
from sorce.models.normalise import unit_vectors
from sorce.models.tokenizer import Tokenizer, has_tokenizer
from sorce.models.towers import Towers

SAYS_MORE = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json")
"""Files of sentence-transformers: they may name a prompt, or further modules behind the network."""

_AutoModel: Any = transformers.AutoModel


class TextTower(TextEncoder):
    """Encodes texts to the same vectors as `Encoder`, bit for bit."""

    def __init__(self, name: str, towers: Towers, family: EncoderFamily, batch_size: int) -> None:
        self._name, self._towers = name, towers
        self._words = Tokenizer(towers, family)
        self._batches = Batches(towers.device, batch_size)

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Unit vectors, float32 of shape (len(texts), dimension). Texts too long for the model are cut."""
        return unit_vectors(torch.cat(self._batches.run(self._forward, texts)), self._name)

    @torch.inference_mode()
    def _forward(self, texts: Sequence[str]) -> Tensor:
        vectors: Tensor = self._towers(self._words.features(texts))["sentence_embedding"]
        return vectors


def open_text_tower(checkpoint: Checkpoint, device: str, batch_size: int) -> TextTower | None:
    """None if only the whole encoder can be opened, which then also says what is wrong with it.

    Raises ModelError if the checkpoint is unavailable or damaged, or lacks weights.
    """
    found, on = pinned(checkpoint), pick_device(device)
    family = family_of(found)
    if not family.separate or "auto_map" in settings_of(found) or not all(lacks(found, name) for name in SAYS_MORE):
        return None
    place, options = found.place, where(found)
    with opening(found, "text half"):
        config = transformers.AutoConfig.from_pretrained(place, **options)
        # transformers' classes for a text half alone read other sizes than the whole network's. So the whole is made,
        # without the picture half's layers.
        config.vision_config.num_hidden_layers = 0
        dtype = family.number_format(on)
        network = _AutoModel.from_pretrained(place, config=config, dtype=dtype, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **options)
    if not has_tokenizer(tokenizer, network.config):
        return None
    return TextTower(found.name, Towers(network.to(on), tokenizer), family, batch_size)
