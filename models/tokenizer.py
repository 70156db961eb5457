"""Turns a user's text into the input of a network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from threading import Lock
from typing import Any

from sorce.models.families import EncoderFamily
from sorce.models.image_processor import Features, on_device

LONGEST_TEXT = 2000
"""Most characters of a text that a chat model reads. SORCE's captions have at most 42 words."""


class Tokenizer:
    """The text half of a processor, by the rules of the encoder's family. `prompt` is what goes before each text."""

    def __init__(self, model: Any, family: EncoderFamily) -> None:
        self._model, self._lower = model, family.lower
        self._one_at_a_time = Lock()
        # The prompt that a checkpoint names for the texts of a search, as sentence-transformers' `encode_query` does.
        self.prompt = str(model.prompts.get("query") or "")
        # In such a processor, a text could otherwise ask for a picture.
        self._plain = PlainText(model.processor.tokenizer) if hasattr(model.processor, "image_token") else None
        limit = getattr(getattr(model.config, "text_config", None), "max_position_embeddings", None)
        self._options: dict[str, Any] = {"truncation": True} | ({"max_length": limit} if limit else {})
        if family.tokens:
            self._options |= {"max_length": min(limit or family.tokens, family.tokens), "padding": "max_length"}
        if not family.masked:
            self._options["return_attention_mask"] = False

    def features(self, texts: Sequence[str]) -> Features:
        """Tokens of a batch, on the network's device. Texts too long for the network are cut."""
        # Tokenizers refuse half of a surrogate pair.
        plain = [text.encode(errors="replace").decode() for text in texts]
        if self._lower:
            plain = [text.lower() for text in plain]
        if self._plain:
            plain = [self._plain(text) for text in plain]
        # Wrapped: otherwise a string that looks like a path or a URL would be opened as an image.
        wrapped = [{"text": text} for text in plain]
        # A fast tokenizer stores padding and truncation as state, and fails if a second thread uses it.
        with self._one_at_a_time:
            features = self._model.preprocess(wrapped, self.prompt, processing_kwargs={"text": self._options})
        return on_device(features, self._model)


class PlainText:
    """Makes a user's text safe in a chat turn: it cannot end the turn, and has no half of a surrogate pair."""

    def __init__(self, tokenizer: Any) -> None:
        self._control = re.compile("|".join(map(re.escape, tokenizer.get_added_vocab())) or r"\b\B")

    def __call__(self, text: str) -> str:
        whole = text[:LONGEST_TEXT].encode(errors="replace").decode()
        return self._control.sub(lambda token: f"{token[0][0]} {token[0][1:]}", whole)


def has_tokenizer(tokenizer: Any, config: Any) -> bool:
    """Whether the network has a tokenizer. Without its files, transformers makes one that knows no words."""
    words = getattr(getattr(config, "text_config", None), "vocab_size", None) or 0
    return len(tokenizer) > words // 2
