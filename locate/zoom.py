"""The localiser `zoom`: finer and finer crops round the best region, compared by the index's own encoder.

It needs no training and no other network. SOREC's results without the zoom embedding (arXiv 2510.03701) show that
the loop over crops does most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sorce.errors import ModelError
from sorce.locate.geometry import distinct, inside, moved
from sorce.locate.rgb import in_rgb
from sorce.locate.scores import Likeness
from sorce.mappings import Box, Instance, Located, LocateRequest, Vector
from sorce.models.encoder import Encoder
from sorce.models.model import TextEncoder
from sorce.models.tiles import Tiles
from sorce.models.tiling import TileSettings

MAX_CROPS = 24
"""Most crops round a region, for each thing that is asked for."""
ALIKE = 1.0
"""The greatest cosine."""
COARSE = 64
"""Most tiles of the coarse pass over a photo, if no region is given or several things are asked for."""

Move = tuple[float, float, float, float]
"""A crop beside a box: how far its centre is in the box's sides, then its sides as factors of the box's."""

WIDE: tuple[Move, ...] = (
    (0, 0, 1, 1),
    *((x / 4, y / 4, 0.6, 0.6) for y in range(-2, 3) for x in range(-2, 3) if (x + y) % 2 == 0),
)
"""The region, and a chequerboard over it and half a side beyond: a tile often shows only a part of the thing."""

NEAR: tuple[Move, ...] = tuple(
    (x / 5, y / 5, factor, factor) for factor in (0.75, 1.3) for x, y in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
)
"""Smaller and larger crops, and their neighbours."""

ROUNDS = (WIDE, NEAR)
# Chosen with `mini` on 150 choosing scenes (50 queries, each photo's best tile): mean IoU .22 -> .43, and R@1 of the
# first eight photos .46 -> .72. Crops of other sides in the second round, or of other shapes, gave .40 to .43.

SHARPNESS = 0.45
"""The temperature of the weights, in standard deviations of the crops' cosines: encoders differ in their spread."""
ROUNDING = 1e-3
"""Least temperature: smaller differences between cosines, as in a photo of one colour, are those of bfloat16."""
TIGHTER = 0.9
"""The side of a thing, in sides of the crops that are most like it: encoders prefer some context."""
SCORED = 3
"""A score is the mean of so many of the best crops: one crop alone may be like a text by chance."""


@dataclass(eq=False)
class _Search:
    """One search for one thing: what was looked at, and the cosine of each crop."""

    request: LocateRequest
    text: Vector
    steps: list[Box]
    boxes: list[Box] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)

    def crops(self, moves: Sequence[Move]) -> list[Box]:
        picture, at = self.request.picture, self.steps[-1]
        return [inside(moved(at, move), picture.width, picture.height) for move in moves]

    def learn(self, boxes: Sequence[Box], vectors: Vector) -> None:
        self.boxes += boxes
        self.cosines += [float(cosine) for cosine in vectors @ self.text]
        picture = self.request.picture
        self.steps.append(inside(weighted(self.boxes, self.cosines), picture.width, picture.height))

    @property
    def cosine(self) -> float:
        return float(np.sort(self.cosines)[-SCORED:].mean())


def weighted(boxes: Sequence[Box], cosines: Sequence[float]) -> tuple[float, float, float, float]:
    """The mean of the boxes, by softmax of their cosines: the mean centre, and the geometric mean of the sides.

    Between crops of a coarse grid it finds the place that a finer grid would show.
    """
    sides, likeness = np.array([box.as_tuple() for box in boxes]), np.asarray(cosines, np.float64)
    weights = np.exp((likeness - likeness.max()) / max(SHARPNESS * float(likeness.std()), ROUNDING))
    weights /= weights.sum()
    centre = weights @ (sides[:, :2] + sides[:, 2:]) / 2
    half = np.exp(weights @ np.log(sides[:, 2:] - sides[:, :2])) * TIGHTER / 2
    return (*(centre - half).tolist(), *(centre + half).tolist())


class Zoom:
    """Looks with a dual encoder. Its scores are not calibrated: compare them only within one text."""

    name = "zoom"

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._likeness = Likeness.of(encoder)
        self._tiles = Tiles(encoder, TileSettings(max_regions=COARSE, max_stored=COARSE))

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        """One answer for each request, in order. Without a box, it first looks at an ingest's tiles."""
        requests = [in_rgb(request) for request in requests]
        texts = self.encoder.embed_texts([request.text for request in requests])
        searches = [self._starts(request, text, boxes) for request, text in zip(requests, texts, strict=True)]
        flat = [search for several in searches for search in several]
        for moves in ROUNDS:
            self._look(flat, moves)
        return [self._answer(several, boxes, min_score) for several in searches]

    def _starts(self, request: LocateRequest, text: Vector, boxes: int) -> list[_Search]:
        """The index's region, or the best tiles; where several things are asked for, both."""
        picture, found = request.picture, []
        if request.box is not None:
            # Its likeness is not known here. It comes first, since no other region of the photo was as alike.
            found.append(Instance(inside(request.box.as_tuple(), picture.width, picture.height), ALIKE))
        if request.box is None or boxes > 1:
            [regions] = self._tiles.embed_photos([picture])
            found += [Instance(region.box, float(region.vec @ text)) for region in regions]
        return [_Search(request, text, [each.box]) for each in distinct(found, boxes, -ALIKE)]

    def _look(self, searches: Sequence[_Search], moves: Sequence[Move]) -> None:
        crops = [search.crops(moves) for search in searches]
        views = [
            self.encoder.view(search.request.picture.image, box)
            for search, boxes in zip(searches, crops, strict=True)
            for box in boxes
        ]
        vectors = self.encoder.embed_views(views)
        for number, (search, boxes) in enumerate(zip(searches, crops, strict=True)):
            search.learn(boxes, vectors[number * len(moves) :][: len(moves)])

    def _answer(self, several: Sequence[_Search], boxes: int, min_score: float) -> Located:
        found = [Instance(search.steps[-1], self._likeness.score(search.cosine)) for search in several]
        kept = distinct(found, boxes, min_score)
        first = found.index(kept[0])
        return Located(kept[0].box, kept[0].score, tuple(several[first].steps), kept)


def dual_encoder(texts: TextEncoder) -> Encoder:
    """The dual encoder behind an index's model. Raises ModelError for a model that embeds no crops by themselves."""
    encoder = getattr(texts, "encoder", texts)
    if not isinstance(encoder, Encoder):
        raise ModelError(
            "zoom needs a dual encoder, and this index's model is none (regions method prompts or objembed, or OWLv2's "
            "own vectors); name a detector as the localiser."
        )
    return encoder
