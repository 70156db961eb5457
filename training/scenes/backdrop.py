"""A backdrop: a painted picture, and the surfaces on which things can be put."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from PIL import Image

from training.scenes.textures import Rng, Size

SIZE: Size = (1600, 1200)


class Way(Enum):
    """How a thing is placed on a surface."""

    STAND = "stand"  # upright, its foot inside the surface
    LIE = "lie"  # seen from above, anywhere inside, turned more
    HANG = "hang"  # on a wall
    FLY = "fly"  # in the air: only things that fly
    FLOAT = "float"  # on water: only things that float


@dataclass(frozen=True)
class Surface:
    """A rectangle in scene pixels. Things are scaled by `far` at its upper edge, and by `near` at its lower edge."""

    x1: float
    y1: float
    x2: float
    y2: float
    way: Way = Way.STAND
    far: float = 1.0
    near: float = 1.0
    room: float = 400.0  # the greatest height of a thing that fits, in pixels

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    def scale(self, y: float) -> float:
        """The scale of a thing whose foot is at y."""
        share = (y - self.y1) / max(1.0, self.y2 - self.y1)
        return self.far + (self.near - self.far) * share


@dataclass(frozen=True)
class Backdrop:
    """`light` is the offset of shadows, right and down, in pixels for a thing 100 px high."""

    image: Image.Image
    surfaces: tuple[Surface, ...]
    light: tuple[float, float]


def light(rng: Rng) -> tuple[float, float]:
    """A direction for the shadows of a scene."""
    return float(rng.choice([-1, 1]) * rng.uniform(4, 9)), float(rng.uniform(3, 7))


def pick(rng: Rng, *choices: tuple[int, int, int]) -> tuple[int, int, int]:
    """One of the colours, changed a little, so that no two scenes have the same wall."""
    colour = np.array(choices[int(rng.integers(len(choices)))]) + rng.integers(-10, 11, 3)
    red, green, blue = (int(value) for value in np.clip(colour, 0, 255))
    return red, green, blue
