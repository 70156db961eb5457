"""The localiser `zoom`: finer and finer crops round the best region, compared by the index's own encoder.

It needs no training and no other network. SOREC's results without the zoom embedding (arXiv 2510.03701) show that
the loop over crops does most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sorce.errors import ModelError
from sorce.locate.places import distinct, inside, moved
from sorce.locate.scores import Likeness
from sorce.mappings import Box, Instance, Located, LocateRequest, Vector
from sorce.models.encoder import Encoder
from sorce.models.model import TextEncoder
from sorce.models.tiles import Tiles

MOST_CROPS = 24
"""Crops of a photo, for each box that is asked for. A coarse pass without an index's box is not counted."""

Move = tuple[float, float, float, float]

FIRST: tuple[Move, ...] = (
    (0, 0, 1, 1),
    (0, 0, 0.7, 0.7),
    (-0.25, -0.25, 0.6, 0.6),
    (0.25, -0.25, 0.6, 0.6),
    (-0.25, 0.25, 0.6, 0.6),
    (0.25, 0.25, 0.6, 0.6),
    (-0.35, 0, 0.8, 0.8),
    (0.35, 0, 0.8, 0.8),
    (0, -0.35, 0.8, 0.8),
    (0, 0.35, 0.8, 0.8),
    (0, 0, 0.5, 0.5),
    (0, 0, 1.4, 1.4),
)
THEN: tuple[Move, ...] = (
    (-0.15, 0, 1, 1),
    (0.15, 0, 1, 1),
    (0, -0.15, 1, 1),
    (0, 0.15, 1, 1),
    (0, 0, 0.8, 0.8),
    (0, 0, 0.75, 1),
    (0, 0, 1, 0.75),
    (0, 0, 1.2, 1.2),
    (-0.1, -0.1, 0.85, 0.85),
    (0.1, -0.1, 0.85, 0.85),
    (-0.1, 0.1, 0.85, 0.85),
    (0.1, 0.1, 0.85, 0.85),
)
ROUNDS = (FIRST, THEN)


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
        self.steps.append(self.boxes[int(np.argmax(self.cosines))])


class Zoom:
    """Looks with a dual encoder. Its scores are not calibrated: compare them only within one text."""

    name = "zoom"

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._likeness = Likeness.of(encoder)
        self._tiles = Tiles(encoder)

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        """One answer for each request, in order. Without a box, it first looks at an ingest's tiles."""
        texts = self._encoder.embed_texts([request.text for request in requests])
        searches = [self._starts(request, text, boxes) for request, text in zip(requests, texts, strict=True)]
        flat = [search for several in searches for search in several]
        for moves in ROUNDS:
            self._look(flat, moves)
        return [self._answer(several, boxes, min_score) for several in searches]

    def _starts(self, request: LocateRequest, text: Vector, boxes: int) -> list[_Search]:
        if request.box is not None and boxes == 1:
            picture = request.picture
            return [_Search(request, text, [inside(request.box.as_tuple(), picture.width, picture.height)])]
        [regions] = self._tiles.embed_photos([request.picture])
        found = [Instance(region.box, float(region.vec @ text)) for region in regions]
        if request.box is not None:
            found.append(Instance(request.box, 2.0))
        return [_Search(request, text, [each.box]) for each in distinct(found, boxes, -1)]

    def _look(self, searches: Sequence[_Search], moves: Sequence[Move]) -> None:
        crops = [search.crops(moves) for search in searches]
        views = [
            self._encoder.view(search.request.picture.image, box)
            for search, boxes in zip(searches, crops, strict=True)
            for box in boxes
        ]
        vectors = self._encoder.embed_views(views)
        for number, (search, boxes) in enumerate(zip(searches, crops, strict=True)):
            search.learn(boxes, vectors[number * len(moves) :][: len(moves)])

    def _answer(self, several: Sequence[_Search], boxes: int, min_score: float) -> Located:
        found = [Instance(search.steps[-1], self._likeness.score(max(search.cosines))) for search in several]
        kept = distinct(found, boxes, min_score)
        [steps] = [search.steps for search in several if search.steps[-1] == kept[0].box][:1]
        return Located(kept[0].box, kept[0].score, tuple(steps), kept)


def dual_encoder(texts: TextEncoder) -> Encoder:
    """The dual encoder behind an index's model. Raises ModelError for a model that embeds no crops by themselves."""
    encoder = getattr(texts, "encoder", texts)
    if not isinstance(encoder, Encoder):
        raise ModelError(
            "zoom needs a dual encoder, and this index's model is none (regions method prompts or objembed, or OWLv2's "
            "own vectors); name a detector as the localiser."
        )
    return encoder
