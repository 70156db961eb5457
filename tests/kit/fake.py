"""A model without a network: it knows colours, and counts its calls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sorce.mappings import Box, Kind, Picture, Recipe, Region, Vector
from sorce.models.model import Model

COLOURS = {
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "green": (0, 255, 0),
    "red": (255, 0, 0),
    "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}
DIMENSION = 8

Seen = list[tuple[Box, Vector]]


class FakeModel(Model[Seen]):
    """Five regions per photo: the whole and its quarters. The text `red` is nearest to the reddest region.

    `texts` and `photos` list what was encoded, in order (a photo as its width and height).
    """

    def __init__(self, revision: str = "1") -> None:
        # As one of the hub: a name and a commit. `revision` is one hexadecimal digit.
        self.recipe = Recipe("example/fake", 40 * revision, "quarters", DIMENSION, "numpy")
        self.texts: list[str] = []
        self.photos: list[tuple[int, int]] = []

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        self.texts.extend(texts)
        return np.array([_of_text(text) for text in texts], np.float32).reshape(len(texts), DIMENSION)

    def prepare(self, picture: Picture) -> Seen:
        pixels = np.asarray(picture.image, np.float32)
        return [(box, _of_colour(_cut(pixels, box).mean(axis=(0, 1)))) for box in _boxes(*picture.size)]

    def encode(self, prepared: Sequence[Seen]) -> list[list[Region]]:
        self.photos.extend((int(seen[0][0].x2), int(seen[0][0].y2)) for seen in prepared)
        return [[Region(box, vec, _kind(place)) for place, (box, vec) in enumerate(seen)] for seen in prepared]


def _kind(place: int) -> Kind:
    return "tile" if place else "whole"


def _boxes(width: int, height: int) -> list[Box]:
    across, down = width / 2, height / 2
    quarters = [Box(x, y, x + across, y + down) for y in (0, down) for x in (0, across)]
    return [Box(0, 0, width, height), *quarters]


def _cut(pixels: Vector, box: Box) -> Vector:
    left, top = int(box.x1), int(box.y1)
    return pixels[top : max(top + 1, int(box.y2)), left : max(left + 1, int(box.x2))]


def _of_colour(colour: Sequence[float] | Vector) -> Vector:
    # The last numbers separate colours that differ in brightness only.
    centred = np.asarray(colour, np.float32) / 127.5 - 1
    vector = np.concatenate([centred, [0.5, centred.mean(), 0, 0, 0]]).astype(np.float32)
    return vector / np.linalg.norm(vector)


def _of_text(text: str) -> Vector:
    """The vector of the colour that it names, else a vector that only this text has."""
    for name, colour in COLOURS.items():
        if name in text.lower().split():
            return _of_colour(colour)
    vector = np.random.default_rng(list(text.encode(errors="replace")) or 0).normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)
