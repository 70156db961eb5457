"""A dual encoder whose own Python code defines it, such as FG-CLIP 2: opened without sentence-transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from PIL.Image import Image
from torch import Tensor, nn

from sorce.models.checkpoint import Checkpoint
from sorce.models.families import EncoderFamily
from sorce.models.loading import opening, where

_AutoImageProcessor: Any = transformers.AutoImageProcessor
Options = Mapping[str, Mapping[str, Any]]


class OwnCode(nn.Module):
    """What `Encoder` uses of a SentenceTransformer, around `get_text_features` and `get_image_features`."""

    prompts: Mapping[str, str] = {}

    def __init__(self, checkpoint: Checkpoint, family: EncoderFamily, device: torch.device, dtype: torch.dtype) -> None:
        """Raises ModelError if the code may not run, or does not fit the installed transformers."""
        super().__init__()
        place, options = checkpoint.place, where(checkpoint)
        with opening(checkpoint, "network"):
            network = getattr(transformers, str(family.auto_class)).from_pretrained(place, dtype=dtype, **options)
        with opening(checkpoint, "tokenizer or preprocessor_config.json"):
            tokenizer = transformers.AutoTokenizer.from_pretrained(place, **options)
            images = _AutoImageProcessor.from_pretrained(place, **options)
        self.network = network.to(device)
        self.processor = SimpleNamespace(tokenizer=tokenizer, image_processor=images)

    @property
    def config(self) -> Any:
        return self.network.config

    @property
    def device(self) -> torch.device:
        found: torch.device = self.network.device
        return found

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = self.network.dtype
        return found

    def supports(self, kind: str) -> bool:
        """Whether it encodes a `text` or an `image`."""
        return hasattr(self.network, f"get_{kind}_features")

    def preprocess(self, inputs: Sequence[Any], prompt: str = "", processing_kwargs: Options | None = None) -> Any:  # noqa: ARG002
        """Texts, each as `{"text": ...}`, or PIL images, as the network's input."""
        given = processing_kwargs or {}
        if isinstance(inputs[0], Image):
            features = self.processor.image_processor(list(inputs), return_tensors="pt", **given.get("image", {}))
        else:
            texts = [each["text"] for each in inputs]
            features = self.processor.tokenizer(texts, return_tensors="pt", **given.get("text", {}))
        return dict(features)

    def forward(self, features: Mapping[str, Any]) -> dict[str, Tensor]:
        embed = self.network.get_image_features if "pixel_values" in features else self.network.get_text_features
        found = embed(**{name: value for name, value in features.items() if isinstance(value, Tensor)})
        return {"sentence_embedding": found if isinstance(found, Tensor) else found.pooler_output}
