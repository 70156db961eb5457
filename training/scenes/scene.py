"""A rendered scene and what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from sorce.mappings import Box
from training.scenes.backdrop import SIZE, Backdrop, Way
from training.scenes.pieces import Piece, shadow
from training.scenes.textures import Rng, noise

_LEAST_SEEN = 0.05  # A thing with a smaller visible share is not in `objects`: nobody can recognise it.


@dataclass(frozen=True)
class Placed:
    """A thing in a scene. `visible` is its share that nothing covers, 0..1; `planted` things are asked for."""

    concept: str
    style: str
    box: Box
    visible: float
    planted: bool


@dataclass(frozen=True)
class Scene:
    """An RGB picture of 1600 x 1200, and all visible things in it."""

    image: Image.Image
    objects: tuple[Placed, ...]


def painted(rng: Rng, backdrop: Backdrop, pieces: Sequence[Piece]) -> Scene:
    """The backdrop with the pieces on it, painted from far to near, under one light."""
    image = backdrop.image.copy()
    owner = np.full((SIZE[1], SIZE[0]), -1, np.int16)
    ordered = sorted(pieces, key=lambda piece: piece.depth)
    whole = []
    for number, piece in enumerate(ordered):
        if piece.way is not Way.FLY:
            mask, at = shadow(piece, backdrop.light)
            image.paste((14, 12, 20), at, mask)
        image.paste(piece.rgba, (piece.x, piece.y), piece.rgba)
        whole.append(_own(owner, piece, number))
    seen = np.bincount(owner[owner >= 0], minlength=len(ordered))
    shares = [float(count) / max(1, total) for count, total in zip(seen, whole, strict=True)]
    objects = tuple(_placed(piece, share) for piece, share in zip(ordered, shares, strict=True) if share > _LEAST_SEEN)
    return Scene(graded(rng, image), objects)


def _own(owner: np.ndarray[tuple[int, ...], np.dtype[np.int16]], piece: Piece, number: int) -> int:
    """Marks the piece's pixels in `owner`. Returns its size in pixels, including those outside the picture."""
    mask = piece.mask
    left, top = max(0, -piece.x), max(0, -piece.y)
    part = owner[max(0, piece.y) : piece.y + mask.shape[0], max(0, piece.x) : piece.x + mask.shape[1]]
    part[mask[top : top + part.shape[0], left : left + part.shape[1]]] = number
    return int(mask.sum())


def _placed(piece: Piece, share: float) -> Placed:
    box = Box(
        max(0, piece.x),
        max(0, piece.y),
        min(SIZE[0], piece.x + piece.rgba.width),
        min(SIZE[1], piece.y + piece.rgba.height),
    )
    return Placed(piece.concept, piece.style, box, min(1.0, share), piece.planted)


def graded(rng: Rng, image: Image.Image) -> Image.Image:
    """Adds light from one side, dark corners, a tint, a slight blur of the lens, and camera noise."""
    small = (SIZE[0] // 16, SIZE[1] // 16)
    x, y = np.meshgrid(np.linspace(-1, 1, small[0]), np.linspace(-1, 1, small[1]))
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0.03, 0.14) * (x * np.cos(angle) + y * np.sin(angle))
    corners = rng.uniform(0.08, 0.2) * np.clip((x**2 + y**2) / 2, 0, 1)
    field = (1 + slope - corners + 0.02 * noise(rng, small, (30, 30), 1)).astype(np.float32)
    bright = np.asarray(Image.fromarray(field).resize(SIZE, Image.Resampling.BICUBIC))
    tint = rng.uniform(0.97, 1.03) * np.array([1 + rng.uniform(-0.05, 0.06), 1, 1 - rng.uniform(-0.05, 0.06)])
    soft = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.8))))
    grain = rng.standard_normal((SIZE[1], SIZE[0]), np.float32) * rng.uniform(1, 4)
    pixels = np.asarray(soft, np.float32) * bright[..., None] * tint.astype(np.float32) + grain[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
