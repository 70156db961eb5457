"""The regions method `prompts`: a chat model is asked for one word about the photo and each of its corners.

Source: Regional Prompts, SORCE (arXiv 2505.24441). A vector is the final hidden state at the last token, normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sorce.errors import ModelError
from sorce.mappings import Picture, Recipe, Region, Vector
from sorce.models.checkpoint import Checkpoint
from sorce.models.loading import pick_device
from sorce.models.model import Model
from sorce.models.normalise import unit_vectors
from sorce.models.prompts.families import EncodedPhoto, PixelLimits, family_of, usual_template
from sorce.models.prompts.loading import Opened, open_chat
from sorce.models.prompts.passes import Split, batches, photo_states, text_states
from sorce.models.prompts.templates import ASKS, TEMPLATES, Question, Template
from sorce.models.tokenizer import PlainText

AUTO = "auto"
BATCH_SIZE = 64
MAX_TOKENS = 8192
"""Most tokens of a batch, padding included. Keys and values of an 8-billion-parameter model then take 1 GiB."""


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """The user's settings.

    `prompts` is `positional` (the photo and four corners) or `semantic` (the photo, its main component, background and
    detail). `template` is a Template or its name; `auto` is that of the checkpoint's family. Pixel limits are for
    Qwen-VL; 0 means the checkpoint's own limit if it sets one, else SORCE's.
    """

    prompts: str = "positional"
    template: Template | str = AUTO
    min_pixels: int = 0
    max_pixels: int = 0

    @classmethod
    def of(cls, recipe: Recipe) -> PromptSettings:
        """The settings of an index, with exactly its prompts."""
        given = recipe.parameters
        return cls(
            prompts=str(given["prompts"]),
            template=Template(str(given["template"]), recipe.prompts["whole"], recipe.prompts["text"]),
            min_pixels=int(given.get("min_pixels") or 0),
            max_pixels=int(given.get("max_pixels") or 0),
        )

    def asks(self) -> Sequence[Question]:
        if self.prompts not in ASKS:
            raise ModelError(f"prompts={self.prompts} is not known; choose one of {', '.join(ASKS)}.")
        return ASKS[self.prompts]

    def template_or(self, usual: str) -> Template:
        if isinstance(self.template, Template):
            return self.template
        name = usual if self.template == AUTO else self.template
        if name not in TEMPLATES:
            raise ModelError(f"template={name} is not known; choose auto, or one of {', '.join(TEMPLATES)}.")
        return TEMPLATES[name]


PUBLISHED = PromptSettings()


class RegionalPrompts(Model[EncodedPhoto]):
    """A vector for the whole photo and one for each prompt. A prompt's box is nominal: the corner that it names."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: PromptSettings = PUBLISHED,
        device: str = "auto",
        batch_size: int = BATCH_SIZE,
    ) -> None:
        """At most `batch_size` photos or texts run together, and no more than MAX_TOKENS tokens.

        Raises ModelError if the checkpoint cannot be loaded, is of another family, or does not fit the settings.
        """
        self._asks = settings.asks()
        opened = open_chat(checkpoint, pick_device(device))
        self._name = checkpoint.name
        self._network, self._tokenizer = opened.network, opened.tokenizer
        self._batch_size = batch_size
        self._template = settings.template_or(usual_template(opened.config))
        _refuse_missing_tokens(opened, self._template)
        limits = PixelLimits(settings.min_pixels, settings.max_pixels)
        self._family = family_of(opened.images, opened.tokenizer, opened.config, limits)
        self._split = Split.of([self._tokens(self._template.asking(ask)) for ask in self._asks])
        self._plain = PlainText(opened.tokenizer)
        self.recipe = self._recipe(opened.checkpoint, settings.prompts)

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Unit vectors, float32 of shape (len(texts), dimension). At most LONGEST_TEXT characters are read."""
        tokens = [self._tokens(self._template.about(self._plain(text))) for text in texts]
        vectors = np.zeros((len(texts), self.recipe.dimension), np.float32)
        for batch in batches([len(row) for row in tokens], MAX_TOKENS, self._batch_size):
            vectors[batch] = unit_vectors(text_states(self._network, [tokens[number] for number in batch]), self._name)
        return vectors

    def prepare(self, picture: Picture) -> EncodedPhoto:
        return self._family.see(picture.image)

    def encode(self, prepared: Sequence[EncodedPhoto]) -> list[list[Region]]:
        found: dict[int, list[Region]] = {}
        for batch in batches([photo.image_tokens for photo in prepared], MAX_TOKENS, self._batch_size):
            photos = [prepared[number] for number in batch]
            vectors = unit_vectors(photo_states(self._network, self._split, photos), self._name)
            found |= {number: self._regions(prepared[number], own) for number, own in zip(batch, vectors, strict=True)}
        return [found[number] for number in range(len(prepared))]

    def _regions(self, photo: EncodedPhoto, vectors: Vector) -> list[Region]:
        return [
            Region(ask.box(photo.width, photo.height), vector, "prompt" if number else "whole")
            for number, (ask, vector) in enumerate(zip(self._asks, vectors, strict=True))
        ]

    def _tokens(self, prompt: str) -> list[int]:
        # Not padded or cut: a tokenizer stores both as state, and fails if a second thread uses it.
        ids: list[int] = self._tokenizer(prompt)["input_ids"]
        return ids

    def _recipe(self, checkpoint: Checkpoint, prompts: str) -> Recipe:
        return Recipe(
            model=checkpoint.model,
            revision=str(checkpoint.revision),
            regions="prompts",
            dimension=int(self._network.config.text_config.hidden_size),
            backend=self._family.backend,
            parameters={"prompts": prompts, "template": self._template.name, **self._family.parameters},
            prompts={"text": self._template.text, **{ask.name: self._template.asking(ask) for ask in self._asks}},
        )


def _refuse_missing_tokens(opened: Opened, template: Template) -> None:
    known = opened.tokenizer.get_vocab()
    missing = [token for token in template.control_tokens if token not in known]
    if missing:
        raise ModelError(
            f"model '{opened.checkpoint.name}' has no token {missing[0]}, which the template '{template.name}' needs; "
            f"choose another template ({', '.join(TEMPLATES)}), or another checkpoint."
        )
    image = opened.config.image_token_id
    if image not in {known[token] for token in template.control_tokens}:
        raise ModelError(
            f"the template '{template.name}' does not hold the image token (number {image}) of model "
            f"'{opened.checkpoint.name}'; choose another template, or fetch the checkpoint again."
        )
