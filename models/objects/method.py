"""The regions method `objects`: boxes that may hold an object, found before anyone asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from PIL.Image import Image
from torchvision.ops import box_iou  # type: ignore[import-untyped]

from sorce.mappings import Box, Picture, Recipe, Region, Vector
from sorce.models.encoder import Encoder
from sorce.models.image_processor import REDUCING_GAP, View
from sorce.models.model import Model
from sorce.models.normalise import refuse_nan
from sorce.models.objects.owl import Owl, OwlWords
from sorce.models.objects.proposals import Found, Proposals, Proposer, inside, picked, refuse_nonsense, taken
from sorce.models.objects.settings import ObjectsSettings
from sorce.models.objects.windows import Look

# Crops are cut once the boxes are known, from a photo that waits for it: of more pixels only these are kept.
MOST_KEPT = 16_000_000
WHOLE_BY_OWL = "the class embedding of the box that overlaps the photo most"


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A photo's size in pixels, what the encoder sees of the whole, what the proposer needs, and pixels to cut from."""

    width: int
    height: int
    whole: View
    prepared: Any
    photo: Image


class CroppedObjects(Model[Cut]):
    """Any proposer's boxes, each embedded by a dual encoder with some of what is around it.

    The box of a region is the object's, without the margin.
    """

    def __init__(self, encoder: Encoder, proposer: Proposer[Any], settings: ObjectsSettings) -> None:
        self.encoder, self.proposer = encoder, proposer
        self._margin = settings.margin
        # The proposer's name and revision, not what was typed.
        parameters = asdict(replace(settings, detector=proposer.name))
        recipe = encoder.recipe("objects", parameters)
        self.recipe = replace(recipe, backend="+".join(filter(None, (recipe.backend, proposer.backend))))

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self.encoder.embed_texts(texts)

    def prepare(self, picture: Picture) -> Cut:
        whole = self.encoder.view(picture.image, Box(0, 0, picture.width, picture.height))
        return Cut(picture.width, picture.height, whole, self.proposer.prepare(picture), kept(picture.image))

    def encode(self, prepared: Sequence[Cut]) -> list[list[Region]]:
        # A photo at a time: its hundred crops fill batches of their own.
        return [self._regions(cut) for cut in prepared]

    def _regions(self, cut: Cut) -> list[Region]:
        proposals = self.proposer.proposals(cut.prepared)
        views = [self._view(cut, box) for box in _boxes(proposals)]
        return regions(cut.width, cut.height, proposals, self.encoder.embed_views([cut.whole, *views]))

    def _view(self, cut: Cut, box: Box) -> View:
        around = widened(box, self._margin, cut.width, cut.height)
        across, down = cut.photo.width / cut.width, cut.photo.height / cut.height
        scaled = Box(around.x1 * across, around.y1 * down, around.x2 * across, around.y2 * down)
        return self.encoder.view(cut.photo, scaled)


class OwlObjects(Model[Look]):
    """OWLv2's boxes and its class embeddings, from one pass.

    They are ranked by cosine with OWLv2's own texts. The class head also shifts and scales each region's cosine by two
    numbers that it computes for the region; these are left out, since they are no part of a unit vector.

    Region 0 has the class embedding of the box that overlaps the whole photo most, as OWL-ViT takes it of an example
    picture. The pooled picture of the CLIP that OWLv2 began as lies in another space, and has no trained projection.
    """

    def __init__(self, owl: Owl, words: OwlWords, settings: ObjectsSettings) -> None:
        self._owl, self._words, self._limits = owl, words, settings.limits
        self.recipe = Recipe(
            model=owl.checkpoint.model,
            revision=str(owl.checkpoint.revision),
            regions="objects",
            dimension=owl.dimension,
            backend=owl.backend,
            # Nothing is cut out, so that a margin decides nothing.
            parameters=asdict(replace(settings, margin=0.0)),
            prompts={"whole": WHOLE_BY_OWL},
        )

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self._words.embed_texts(texts)

    def prepare(self, picture: Picture) -> Look:
        return self._owl.look(picture.image)

    def encode(self, prepared: Sequence[Look]) -> list[list[Region]]:
        return [self._regions(look) for look in prepared]

    def _regions(self, look: Look) -> list[Region]:
        found = self._owl.found_with_vectors(look)
        refuse_nonsense(found, self._owl.name)
        rows = picked(found, look, self._limits)
        wanted = torch.cat([_most_like_the_whole(found, look)[None], rows])
        vectors: Vector = found.vectors[wanted.to(found.vectors.device)].cpu().numpy()
        refuse_nan(vectors, self._owl.checkpoint.name)
        return regions(look.width, look.height, taken(found, look, rows), vectors)


def regions(width: int, height: int, proposals: Proposals, vectors: Vector) -> list[Region]:
    """The whole photo, whose vector is the first, and a region of each box.

    The whole photo's quality is 0: it is the box of no object, and has no place in a ranking of objects by product.
    """
    whole = Region(Box(0, 0, width, height), vectors[0], "whole", 0.0)
    return [
        whole,
        *(
            Region(box, vector, "object", float(quality))
            for box, vector, quality in zip(_boxes(proposals), vectors[1:], proposals.quality, strict=True)
        ),
    ]


def widened(box: Box, margin: float, width: int, height: int) -> Box:
    """The box with a margin on each side, as far as the photo goes; one of its longer side, so that poles get some."""
    more = margin * max(box.x2 - box.x1, box.y2 - box.y1)
    return Box(max(0.0, box.x1 - more), max(0.0, box.y1 - more), min(width, box.x2 + more), min(height, box.y2 + more))


def kept(photo: Image) -> Image:
    """The photo, shrunk where it has more than MOST_KEPT pixels."""
    scale = (MOST_KEPT / (photo.width * photo.height)) ** 0.5
    if scale >= 1:
        return photo
    size = max(1, int(photo.width * scale)), max(1, int(photo.height * scale))
    return photo.resize(size, reducing_gap=REDUCING_GAP)


def _most_like_the_whole(found: Found, look: Look) -> torch.Tensor:
    """The number of a row."""
    whole = torch.tensor([[0, 0, look.width, look.height]], dtype=torch.float32)
    of_the_whole = found.windows == 0
    overlap: torch.Tensor = box_iou(inside(found, look)[of_the_whole], whole)[:, 0]
    return torch.nonzero(of_the_whole).flatten()[overlap.argmax()]


def _boxes(proposals: Proposals) -> list[Box]:
    return [Box(*corners) for corners in proposals.boxes.tolist()]
