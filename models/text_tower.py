"""The text half of a dual encoder by itself: all that a search by texts needs.

Neither the picture half nor sentence-transformers is loaded before a picture is encoded, which saves time and memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from PIL.Image import Image

    from sorce.models.encoder import Encoder

SAYS_MORE = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json")
"""Files of sentence-transformers: they may name a prompt, or further modules behind the network."""

_AutoModel: Any = transformers.AutoModel


class TextTower(TextEncoder):
    """Encodes texts to the same vectors as `Encoder`, bit for bit.

    When the first picture is encoded, `whole` opens the whole encoder, which does the texts, too, from then on.
    """

    def __init__(
        self, name: str, towers: Towers, family: EncoderFamily, batch_size: int, whole: Callable[[], Encoder]
    ) -> None:
        self._name, self._open = name, whole
        self._half: tuple[Towers, Tokenizer] | None = towers, Tokenizer(towers, family)
        self._batches = Batches(towers.device, batch_size)
        self._opening = Lock()
        self._whole: Encoder | None = None

    @property
    def encoder(self) -> Encoder:
        """The whole encoder. Raises ModelError if its other half cannot be loaded."""
        with self._opening:
            if self._whole is None:
                self._whole = self._open()
                self._half = None
            return self._whole

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Unit vectors, float32 of shape (len(texts), dimension). Texts too long for the model are cut."""
        half = self._half
        if half is None:
            return self.encoder.embed_texts(texts)
        return unit_vectors(torch.cat(self._batches.run(partial(_forward, *half), texts)), self._name)

    def embed_images(self, images: Sequence[Image]) -> Vector:
        return self.encoder.embed_images(images)


@torch.inference_mode()
def _forward(towers: Towers, words: Tokenizer, texts: Sequence[str]) -> Tensor:
    vectors: Tensor = towers(words.features(texts))["sentence_embedding"]
    return vectors


def open_text_tower(
    checkpoint: Checkpoint, device: str, batch_size: int, whole: Callable[[], Encoder]
) -> TextTower | None:
    """None if only the whole encoder can be opened, which then also says what is wrong with it.

    `whole` opens it, for pictures.

    Raises ModelError if the checkpoint is unavailable or damaged, or lacks weights.
    """
    found, on = pinned(checkpoint), pick_device(device)
    family = family_of(found)
    found = family.trusted(found)
    own_code = found.trust_remote_code and "auto_map" in settings_of(found)
    if not family.separate or own_code or not all(lacks(found, name) for name in SAYS_MORE):
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
    if not has_tokenizer(tokenizer):
        return None
    return TextTower(found.name, Towers(network.to(on), tokenizer), family, batch_size, whole)
