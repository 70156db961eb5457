"""Boxes that may contain an object, proposed without a query."""

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

# Boxes with a higher IoU belong to one object. Search omits such boxes, too.
SAME = 0.5
# A box that ends this close to a tile's cut edge, as a share of the tile, shows only part of an object.
CUT = 0.01
SMALLEST = 1.0  # pixel a side; smaller boxes show nothing


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """`boxes` is float32 of shape (n, 4): x1, y1, x2, y2 in pixels of the upright photo and inside it.

    `quality` is float32 of shape (n,), 0..1: the proposer's confidence that a box contains an object. Best first.
    """

    boxes: Vector
    quality: Vector

    def __len__(self) -> int:
        return len(self.boxes)


class Proposer(ABC, Generic[Prepared]):
    """Proposes boxes of a photo, however they are embedded later.

    Like a model's, the work has two halves. `name` is the proposer's entry in a recipe. `backend` is what resizes
    images for it, if anything does.
    """

    name: str
    backend: str | None

    @abstractmethod
    def prepare(self, picture: Picture) -> Prepared:
        """The input for `proposals`; runs in any thread. Raises BadPhoto."""

    @abstractmethod
    def proposals(self, prepared: Prepared) -> Proposals:
        """The boxes of one photo; runs in the encoder's thread."""

    def propose(self, picture: Picture) -> Proposals:
        """The boxes of a photo. Raises BadPhoto."""
        return self.proposals(self.prepare(picture))


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A detector's boxes from all windows of a photo, unordered.

    `boxes` is float32 (n, 4) in pixels of the photo, `quality` is (n,), `windows` (n,) is the window's number: all on
    the CPU. `vectors` is (n, dimension) on the detector's device; it has no columns if none were requested.
    """

    boxes: Tensor
    quality: Tensor
    windows: Tensor
    vectors: Tensor


class Detector(ABC):
    """A network that finds objects without a query.

    `side` is that of its input in pixels; `name` is its checkpoint and revision for a recipe.
    """

    name: str
    backend: str
    side: int

    @abstractmethod
    def look(self, photo: Image) -> Look:
        """The detector's views of an upright RGB photo; runs in any thread."""

    @abstractmethod
    def found(self, look: Look) -> Found:
        """All boxes that the detector finds."""


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
    """The boxes, clipped to the photo."""
    clipped: Tensor = clip_boxes_to_image(found.boxes, (look.height, look.width))
    return clipped


def taken(found: Found, look: Look, rows: Tensor) -> Proposals:
    """The given rows as proposals."""
    return Proposals(inside(found, look)[rows].numpy(), found.quality[rows].numpy())


def picked(found: Found, look: Look, limits: ProposalLimits) -> Tensor:
    """Numbers of the best rows, best first: no duplicates, no cut-off objects, no boxes smaller than a pixel."""
    boxes = inside(found, look)
    fit = (found.quality >= limits.least) & ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST).all(1)
    rows = torch.nonzero(fit & ~cut_off(found.boxes, found.windows, look)).flatten()
    rows = rows[found.quality[rows].argsort(descending=True, stable=True)]
    return rows[_distinct(boxes[rows], found.quality[rows], limits.most)]


def cut_off(boxes: Tensor, numbers: Tensor, look: Look) -> Tensor:
    """Whether each box ends at its tile's cut edge. A neighbour or the whole photo then shows the full object."""
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
    """The first `most` boxes that non-maximum suppression keeps, from boxes in order of falling quality.

    Its result for the first boxes does not depend on later ones, so the first hundred are found quickly. For all boxes
    of 20 tiles it would take seconds.
    """
    first = 4 * most
    while True:
        kept: Tensor = nms(boxes[:first], quality[:first], SAME)
        if len(kept) >= most or first >= len(boxes):
            return kept[:most]
        first *= 4


def refuse_nonsense(found: Found, name: str) -> None:
    """Raises ModelError if a box or a quality is not a finite number."""
    if not (found.boxes.isfinite().all() and found.quality.isfinite().all()):
        raise ModelError(
            f"detector '{name}' gave a box that is not a number; "
            "its weights may be damaged, or unfit for half precision (try --device cpu)."
        )
