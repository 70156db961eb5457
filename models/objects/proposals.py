"""Boxes that may hold an object, before anyone asks for one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from PIL.Image import Image
from torch import Tensor
from torchvision.ops import clip_boxes_to_image, nms  # type: ignore[import-untyped]

from sorce.errors import ModelError
from sorce.mappings import Picture, Vector
from sorce.models.objects.settings import ProposalLimits
from sorce.models.objects.windows import Look, Window

Prepared = TypeVar("Prepared")

# Boxes that overlap more are one object's; search leaves such a box out, too.
SAME = 0.5
# A box that ends so close to where a tile was cut, as a share of the tile, holds a part of an object.
CUT = 0.01
SMALLEST = 1.0  # pixel a side; there is nothing to see in less


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """Boxes float32 of shape (n, 4): x1, y1, x2, y2 in pixels of the upright photo and inside it.

    `quality` is float32 of shape (n,), 0..1: how sure the proposer is that a box holds an object. The best come first.
    """

    boxes: Vector
    quality: Vector

    def __len__(self) -> int:
        return len(self.boxes)


class Proposer(ABC, Generic[Prepared]):
    """Boxes of a photo, whatever is then embedded of them.

    Like a model's, the work has two halves. `name` is what a recipe says of the proposer, and `backend` what resizes
    pictures for it, if anything does.
    """

    name: str
    backend: str | None

    @abstractmethod
    def prepare(self, picture: Picture) -> Prepared:
        """What it takes to propose boxes of a photo; any thread. Raises BadPhoto."""

    @abstractmethod
    def proposals(self, prepared: Prepared) -> Proposals:
        """The boxes of one photo; the encoder's thread."""

    def propose(self, picture: Picture) -> Proposals:
        """The boxes of a photo. Raises BadPhoto."""
        return self.proposals(self.prepare(picture))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a detector found in all windows of a photo, in no order.

    `boxes` is float32 (n, 4) in pixels of the photo, `quality` (n,), `windows` (n,) the number of the window: all on
    the CPU. `vectors` is (n, dimension) on the detector's device, or has no columns where it was not asked for any.
    """

    boxes: Tensor
    quality: Tensor
    windows: Tensor
    vectors: Tensor


class Detector(ABC):
    """A network that finds objects nobody named.

    `side` is that of its input in pixels; `name` its checkpoint and revision for a recipe.
    """

    name: str
    backend: str
    side: int

    @abstractmethod
    def look(self, photo: Image) -> Look:
        """What it sees of an upright RGB photo; any thread."""

    @abstractmethod
    def found(self, look: Look) -> Found:
        """All that it takes for an object."""


class Detected(Proposer[Look]):
    """A detector's boxes."""

    def __init__(self, detector: Detector, limits: ProposalLimits) -> None:
        self.name, self.backend = detector.name, detector.backend
        self._detector, self._limits = detector, limits

    def prepare(self, picture: Picture) -> Look:
        return self._detector.look(picture.image)

    def proposals(self, prepared: Look) -> Proposals:
        found = self._detector.found(prepared)
        refuse_nonsense(found, self.name)
        return taken(found, prepared, picked(found, prepared, self._limits))


def inside(found: Found, look: Look) -> Tensor:
    """The boxes, without what of them is outside the photo."""
    clipped: Tensor = clip_boxes_to_image(found.boxes, (look.height, look.width))
    return clipped


def taken(found: Found, look: Look, rows: Tensor) -> Proposals:
    """These rows of what was found."""
    return Proposals(inside(found, look)[rows].numpy(), found.quality[rows].numpy())


def picked(found: Found, look: Look, limits: ProposalLimits) -> Tensor:
    """Numbers of the best rows, best first: nothing twice, no parts of objects, and none without a pixel."""
    boxes = inside(found, look)
    fit = (found.quality >= limits.least) & ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST).all(1)
    rows = torch.nonzero(fit & ~cut_off(found.boxes, found.windows, look)).flatten()
    rows = rows[found.quality[rows].argsort(descending=True, stable=True)]
    return rows[_distinct(boxes[rows], found.quality[rows], limits.most)]


def cut_off(boxes: Tensor, numbers: Tensor, look: Look) -> Tensor:
    """Whether each box ends where its tile was cut: a neighbour has all of the object, or the whole photo has."""
    if not len(boxes):
        return torch.zeros(0, dtype=torch.bool)
    edges = _edges(look.windows)[numbers]
    near = CUT * (edges[:, 2:] - edges[:, :2]).amax(1, keepdim=True)
    starts = (edges[:, :2] > 0) & (boxes[:, :2] < edges[:, :2] + near)
    ends = (edges[:, 2:] < torch.tensor([look.width, look.height])) & (boxes[:, 2:] > edges[:, 2:] - near)
    return (starts | ends).any(1)


def _edges(windows: Sequence[Window]) -> Tensor:
    corners = [(window.left, window.top, window.right, window.bottom) for window in windows]
    return torch.tensor(corners, dtype=torch.float32)


def _distinct(boxes: Tensor, quality: Tensor, most: int) -> Tensor:
    """The first `most` that non-maximum suppression leaves of boxes in falling order.

    What it leaves of the first boxes does not depend on the others, and the first hundred are soon found: of all boxes
    of 20 tiles it would take seconds.
    """
    first = 4 * most
    while True:
        kept: Tensor = nms(boxes[:first], quality[:first], SAME)
        if len(kept) >= most or first >= len(boxes):
            return kept[:most]
        first *= 4


def refuse_nonsense(found: Found, name: str) -> None:
    """Raises ModelError for a box or a quality that is no number."""
    if not (found.boxes.isfinite().all() and found.quality.isfinite().all()):
        raise ModelError(
            f"detector '{name}' gave a box that is not a number; "
            "its weights may be damaged, or unfit for half precision (try --device cpu)."
        )
