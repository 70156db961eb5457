"""The regions method `objects`: boxes that may contain an object, found without a query."""

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
from sorce.models.objects.owl import Owl, OwlTextEncoder
from sorce.models.objects.proposals import Found, Proposals, Proposer, inside, picked, refuse_nonsense, taken
from sorce.models.objects.settings import ObjectsSettings
from sorce.models.objects.windows import Look

# A photo waits in memory until its boxes are known and crops are cut. Larger photos are shrunk to this many pixels.
MAX_KEPT = 16_000_000
WHOLE_BY_OWL = "the class embedding of the box that overlaps the photo most"


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A photo's size in pixels, the encoder's view of the whole, the proposer's input, and the photo to cut from."""

    width: int
    height: int
    whole: View
    prepared: Any
    photo: Image


class CroppedObjects(Model[Cut]):
    """Any proposer's boxes. A dual encoder embeds each with a margin around it.

    A region's box is the object's, without the margin.
    """

    def __init__(self, encoder: Encoder, proposer: Proposer[Any], settings: ObjectsSettings) -> None:
        self.encoder, self.proposer = encoder, proposer
        self._margin = settings.margin
        # The proposer's name and revision, not the user's input.
        parameters = asdict(replace(settings, detector=proposer.name))
        recipe = encoder.recipe("objects", parameters)
        self.recipe = replace(recipe, backend="+".join(filter(None, (recipe.backend, proposer.backend))))

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self.encoder.embed_texts(texts)

    def embed_images(self, images: Sequence[Image]) -> Vector:
        return self.encoder.embed_images(images)

    def prepare(self, picture: Picture) -> Cut:
        whole = self.encoder.view(picture.image, Box(0, 0, picture.width, picture.height))
        return Cut(picture.width, picture.height, whole, self.proposer.prepare(picture), kept(picture.image))

    def encode(self, prepared: Sequence[Cut]) -> list[list[Region]]:
        # One photo at a time: its hundred crops already fill batches.
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

    They are ranked by cosine with OWLv2's own texts. The class head also computes a shift and a scale of each region's
    cosine; these are left out, since a unit vector cannot hold them.

    Region 0 has the class embedding of the box that overlaps the whole photo most, as OWL-ViT does for an example
    image. The pooled embedding of OWLv2's original CLIP is in another space, and has no trained projection.
    """

    def __init__(self, owl: Owl, texts: OwlTextEncoder, settings: ObjectsSettings) -> None:
        self._owl, self._texts, self._limits = owl, texts, settings.limits
        self.recipe = Recipe(
            model=owl.checkpoint.model,
            revision=str(owl.checkpoint.revision),
            regions="objects",
            dimension=owl.dimension,
            backend=owl.backend,
            # Nothing is cropped, so the margin has no effect.
            parameters=asdict(replace(settings, margin=0.0)),
            prompts={"whole": WHOLE_BY_OWL},
        )

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self._texts.embed_texts(texts)

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
    """A region for the whole photo, with the first vector, and one for each box.

    The whole photo's quality is 0: it is no object's box, and must not count in a ranking of objects by product.
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
    """The box with a margin on each side, clipped to the photo. It is a share of the longer side, for narrow boxes."""
    more = margin * max(box.x2 - box.x1, box.y2 - box.y1)
    return Box(max(0.0, box.x1 - more), max(0.0, box.y1 - more), min(width, box.x2 + more), min(height, box.y2 + more))


def kept(photo: Image) -> Image:
    """The photo, shrunk if it has more than MAX_KEPT pixels."""
    scale = (MAX_KEPT / (photo.width * photo.height)) ** 0.5
    if scale >= 1:
        return photo
    size = max(1, int(photo.width * scale)), max(1, int(photo.height * scale))
    return photo.resize(size, reducing_gap=REDUCING_GAP)


def _most_like_the_whole(found: Found, look: Look) -> torch.Tensor:
    """The row number of the whole view's box that overlaps the photo most."""
    whole = torch.tensor([[0, 0, look.width, look.height]], dtype=torch.float32)
    of_the_whole = found.windows == 0
    overlap: torch.Tensor = box_iou(inside(found, look)[of_the_whole], whole)[:, 0]
    return torch.nonzero(of_the_whole).flatten()[overlap.argmax()]


def _boxes(proposals: Proposals) -> list[Box]:
    return [Box(*corners) for corners in proposals.boxes.tolist()]
