"""A dual encoder opened with transformers alone: what sorce uses of a SentenceTransformer, without that library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

Options = Mapping[str, Mapping[str, Any]]


class Towers(nn.Module):
    """A network with `get_text_features` and `get_image_features`, and what makes its input."""

    prompts: Mapping[str, str] = {}

    def __init__(self, network: Any, tokenizer: Any, images: Any = None) -> None:
        """Without `images`, an image processor, only texts can be encoded."""
        super().__init__()
        self.network = network
        self.processor = SimpleNamespace(tokenizer=tokenizer, image_processor=images)
        self.eval()

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
            # As sentence-transformers does, unless the family says otherwise. These networks know no types of tokens.
            options = {"padding": True, "return_token_type_ids": False, **given.get("text", {})}
            features = self.processor.tokenizer(texts, return_tensors="pt", **options)
        return dict(features)

    def forward(self, features: Mapping[str, Any]) -> dict[str, Tensor]:
        embed = self.network.get_image_features if "pixel_values" in features else self.network.get_text_features
        found = embed(**{name: value for name, value in features.items() if isinstance(value, Tensor)})
        return {"sentence_embedding": found if isinstance(found, Tensor) else found.pooler_output}
