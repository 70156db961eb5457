"""The regions method `objembed`: a proposer's boxes, all embedded in one pass over their photo.

Source: ObjEmbed (arXiv 2602.01753) and its released evaluation. An object's vector is the final hidden state at the
first token of its pair. Its quality is the IoU predicted at the second. Region 0 is the first global token; it comes
before all boxes, so boxes do not change it. An object's vector depends on the boxes listed before it: boxes are listed
by the proposer's falling quality, as in the released evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sorce.mappings import Picture, Recipe, Region, Vector
from sorce.models.checkpoint import Checkpoint
from sorce.models.image_processor import View
from sorce.models.loading import pick_device
from sorce.models.model import Model, TextEncoder
from sorce.models.normalise import unit_vectors
from sorce.models.objects.method import regions
from sorce.models.objects.proposals import Proposals, Proposer
from sorce.models.objects.proposers import open_proposer
from sorce.models.objembed.loading import open_objembed, use_two_tokens
from sorce.models.objembed.network import ObjEmbedInput, States
from sorce.models.objembed.preprocessing import BACKEND, fitted, patches, scaled
from sorce.models.objembed.prompts import GLOBAL, LOCAL, LOCAL_TEXT, OBJECT, PAIR, SENTENCE, about_photo, with_boxes
from sorce.models.objembed.settings import INSTRUCTIONS, ObjEmbedSettings
from sorce.models.prompts.families import refuse_narrow
from sorce.models.prompts.loading import Opened
from sorce.models.prompts.passes import batches, text_states
from sorce.models.tokenizer import PlainText

BATCH_SIZE = 64
MAX_TOKENS = 8192
"""Most tokens of a batch of texts, padding included."""


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A photo's size in pixels, the network's view of it, and the proposer's input."""

    width: int
    height: int
    view: View
    prepared: Any


class ObjEmbedTexts(TextEncoder):
    """ObjEmbed's local texts (`<local_text>`), one vector each.

    They were trained to match objects; the published retrieval ranks photos by their best box with them. The global
    text token was trained to match whole photos, and would find no small objects. Region 0 is also compared with the
    local text. No publication does that. But global and object vectors share a space: the released image search
    compares them with each other, using the local scale and bias.
    """

    def __init__(self, opened: Opened, turn: str = LOCAL, batch_size: int = BATCH_SIZE) -> None:
        """`turn` has SENTENCE at the place of the text."""
        self._opened, self._turn, self._batch_size = opened, turn, batch_size
        self._plain = PlainText(opened.tokenizer)
        self._end = opened.tokenizer.get_vocab()[LOCAL_TEXT]

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Unit vectors, float32 of shape (len(texts), dimension)."""
        tokens = [self._tokens(text) for text in texts]
        vectors = np.zeros((len(texts), width_of(self._opened)), np.float32)
        for batch in batches([len(row) for row in tokens], MAX_TOKENS, self._batch_size):
            states = text_states(self._opened.network.model, [tokens[number] for number in batch])
            vectors[batch] = unit(states, self._opened.checkpoint)
        return vectors

    def _tokens(self, text: str) -> list[int]:
        """Tokens up to the one that is read. Attention is causal, so later tokens change nothing."""
        ids: list[int] = self._opened.tokenizer(self._turn.replace(SENTENCE, self._plain(text)))["input_ids"]
        return ids[: ids.index(self._end) + 1]


class ObjEmbed(Model[Sight]):
    """The whole photo and a proposer's boxes, embedded in one pass per photo."""

    def __init__(
        self, opened: Opened, proposer: Proposer[Any], settings: ObjEmbedSettings, batch_size: int = BATCH_SIZE
    ):
        self._opened, self._proposer = opened, proposer
        self._texts = ObjEmbedTexts(opened, batch_size=batch_size)
        self._turn = about_photo(INSTRUCTIONS[settings.instruction], use_two_tokens(opened.config))
        self._side = opened.network.model.token_side
        self.recipe = self._recipe(settings)

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self._texts.embed_texts(texts)

    def prepare(self, picture: Picture) -> Sight:
        refuse_narrow(picture.image)
        # Photos may wait in memory, so pixels are kept as bytes: an eighth of the size of the network's input.
        view = fitted(picture.image, self._side)
        return Sight(picture.width, picture.height, view, self._proposer.prepare(picture))

    def encode(self, prepared: Sequence[Sight]) -> list[list[Region]]:
        # One photo at a time: its 2,000 or so tokens are enough for a network of this size.
        return [self._regions(sight) for sight in prepared]

    def _regions(self, sight: Sight) -> list[Region]:
        proposals = self._proposer.proposals(sight.prepared)
        boxes = scaled(proposals.boxes, sight.width, sight.height, sight.view)
        states = read(self._opened, with_boxes(self._turn, len(boxes)), sight.view, boxes)
        vectors = unit(torch.cat([states.globals[:1], states.objects]), self._opened.checkpoint)
        quality: Vector = states.iou_logits.float().sigmoid().cpu().numpy()
        return regions(sight.width, sight.height, Proposals(proposals.boxes, quality), vectors)

    def _recipe(self, settings: ObjEmbedSettings) -> Recipe:
        checkpoint = self._opened.checkpoint
        return Recipe(
            model=checkpoint.model,
            revision=str(checkpoint.revision),
            regions="objembed",
            dimension=width_of(self._opened),
            backend="+".join(filter(None, (BACKEND, self._proposer.backend))),
            # The proposer's name and revision, not the user's input.
            parameters=asdict(replace(settings, detector=self._proposer.name)),
            prompts={"photo": self._turn, "object": PAIR, "text": LOCAL},
            matching=self._opened.network.matching(),
        )


def open_regions(
    checkpoint: Checkpoint, settings: ObjEmbedSettings, device: str = "auto", batch_size: int = BATCH_SIZE
) -> ObjEmbed:
    """Raises ModelError if a network is unavailable, lacks a part, or is of another family."""
    # The proposer first: users more often misspell its name, and the network takes longer to open.
    proposer = open_proposer(settings.proposer, settings.limits, device, checkpoint.trust_remote_code)
    return ObjEmbed(open_objembed(checkpoint, pick_device(device)), proposer, settings, batch_size)


def open_texts(
    checkpoint: Checkpoint, recipe: Recipe, device: str = "auto", batch_size: int = BATCH_SIZE
) -> ObjEmbedTexts:
    """The text encoder of an index, with its recipe's exact prompt. Raises ModelError if the network is unavailable."""
    return ObjEmbedTexts(open_objembed(checkpoint, pick_device(device)), recipe.prompts["text"], batch_size)


@torch.inference_mode()
def read(opened: Opened, prompt: str, view: View, boxes: Tensor) -> States:
    """Runs one pass over a photo. `boxes` are float32 (n, 4) in pixels of the view; `prompt` names each box once."""
    network, known = opened.network, opened.tokenizer.get_vocab()
    pixels, grid = patches(opened.images, view)
    rows, columns = network.shape(grid)
    ids: list[int] = opened.tokenizer(prompt)["input_ids"]
    image = ids.index(opened.config.image_token_id)
    ids[image : image + 1] = ids[image : image + 1] * (rows * columns)
    tokens = torch.tensor(ids, device=network.device)
    states: States = network(
        ObjEmbedInput(
            ids=tokens[None],
            pixels=pixels.to(network.device),
            grid=grid.to(network.device),
            boxes=boxes.to(network.device),
            pairs=tokens == known[OBJECT],
            globals=tokens == known[GLOBAL],
        )
    )
    return states


def unit(states: Tensor, checkpoint: Checkpoint) -> Vector:
    """Rows scaled to length 1, float32. Raises ModelError if one is zero or not a number."""
    return unit_vectors(states, checkpoint.name)


def width_of(opened: Opened) -> int:
    """Dimension of a vector."""
    return int(opened.config.text_config.hidden_size)
