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

NO_LIMIT = 10**9
"""Tokenizers without a limit name a number beyond this."""


class Tokenizer:
    """The text half of a processor, by the rules of the encoder's family. `prompt` is what goes before each text."""

    def __init__(self, model: Any, family: EncoderFamily) -> None:
        # A tokenizer that does it by itself lowers a few letters in another way than Python, such as the Greek sigma.
        self._model, self._lower = model, family.lower and not lowers(model.processor.tokenizer)
        self._one_at_a_time = Lock()
        # The prompt that a checkpoint names for the texts of a search, as sentence-transformers' `encode_query` does.
        self.prompt = str(model.prompts.get("query") or "")
        # In such a processor, a text could otherwise ask for a picture.
        self._plain = PlainText(model.processor.tokenizer) if hasattr(model.processor, "image_token") else None
        limit = longest(model)
        self._options: dict[str, Any] = {"truncation": True} | ({"max_length": limit} if limit else {})
        if family.tokens:
            self._options |= {"max_length": min(limit or family.tokens, family.tokens), "padding": "max_length"}
        elif family.separate:
            # Their positions count from the first token: padding before it would make a text depend on its neighbours.
            self._options["padding_side"] = "right"
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


def longest(model: Any) -> int | None:
    """The most tokens of a text: the least of what network, tokenizer and sentence-transformers' files allow."""
    first = model[0] if hasattr(model, "__len__") else None
    given = getattr(first, "processing_kwargs", {}).get("text", {})
    limits = (
        getattr(getattr(model.config, "text_config", None), "max_position_embeddings", None),
        model.processor.tokenizer.model_max_length,
        getattr(first, "query_length", None),
        given.get("max_length"),
    )
    return min((limit for limit in limits if limit and limit < NO_LIMIT), default=None)


def lowers(tokenizer: Any) -> bool:
    """Whether a tokenizer makes lower case by itself."""
    core = getattr(tokenizer, "backend_tokenizer", None)
    return "Lowercase" in repr(getattr(core, "normalizer", None)) or bool(getattr(tokenizer, "do_lower_case", False))


def has_tokenizer(tokenizer: Any) -> bool:
    """Whether it is one. Without its files, transformers makes one that knows nothing but marks."""
    marks = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}
    return len(tokenizer) > len(marks)
