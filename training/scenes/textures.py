"""Textures: gradients, noise, wood, tiles, cloth. All pictures are RGB, all sizes (width, height) in pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Size = tuple[int, int]
Field = NDArray[np.float32]
Rng = np.random.Generator


def gradient(size: Size, stops: Sequence[Colour]) -> Image.Image:
    """From the top colour to the bottom colour, through the colours between them."""
    ramp = np.array(stops, np.float32)
    at = np.linspace(0, len(stops) - 1, size[1])
    rows = np.stack([np.interp(at, np.arange(len(stops)), ramp[:, channel]) for channel in range(3)], axis=1)
    return Image.fromarray(np.broadcast_to(rows[:, None], (size[1], size[0], 3)).astype(np.uint8))


def noise(rng: Rng, size: Size, cell: tuple[float, float], octaves: int = 3) -> Field:
    """Smooth noise (h, w), about -1 to 1. `cell` is the width and height of its largest blots in pixels."""
    # Half the resolution is a quarter of the work, and no one sees the difference in a blot.
    half = (max(1, size[0] // 2), max(1, size[1] // 2))
    total = np.zeros((half[1], half[0]), np.float32)
    for octave in range(octaves):
        columns = max(2, round(size[0] / cell[0] * 2**octave))
        rows = max(2, round(size[1] / cell[1] * 2**octave))
        grid = rng.standard_normal((min(rows, half[1]), min(columns, half[0])), np.float32)
        total += np.asarray(Image.fromarray(grid).resize(half, Image.Resampling.BICUBIC)) / 2**octave
    return np.asarray(Image.fromarray(total / 2).resize(size, Image.Resampling.BILINEAR))


def shaded(image: Image.Image, field: Field) -> Image.Image:
    """Every pixel times 1 + field (h, w)."""
    bright = np.asarray(image, np.float32) * (1 + field[..., None])
    return Image.fromarray(np.clip(bright, 0, 255).astype(np.uint8))


def mottled(rng: Rng, size: Size, colour: Colour, strength: float = 0.06, cell: float = 160) -> Image.Image:
    """Plaster, paper, sand: one colour with soft blots and a little grain."""
    field = strength * noise(rng, size, (cell, cell), 4) + strength / 4 * noise(rng, size, (3, 3), 1)
    return shaded(Image.new("RGB", size, colour), field)


def wood(rng: Rng, size: Size, colour: Colour, board: int = 160) -> Image.Image:
    """Boards that run from left to right, each `board` px high."""
    width, height = size
    field = 0.10 * noise(rng, size, (420, 9), 3) + 0.05 * noise(rng, size, (900, 60), 2)
    rows = np.arange(height)
    tone = rng.uniform(-0.07, 0.07, height // board + 1).astype(np.float32)
    field = field + tone[rows // board][:, None]
    field[rows % board < 3] -= 0.28
    for top in range(0, height, board):
        joint = int(rng.integers(width))
        field[top : top + board, joint : joint + 3] -= 0.22
    return shaded(Image.new("RGB", size, colour), field)


def tiles(rng: Rng, size: Size, colour: Colour, side: Size, grout: Colour) -> Image.Image:
    """Tiles `side` px wide and high, each a little different, with a light upper edge."""
    width, height = size
    tone = rng.uniform(-0.05, 0.05, (height // side[1] + 1, width // side[0] + 1)).astype(np.float32)
    field = tone.repeat(side[1], axis=0).repeat(side[0], axis=1)[:height, :width].copy()
    rows, columns = np.arange(height) % side[1], np.arange(width) % side[0]
    field[(rows >= 4) & (rows < 8)] += 0.10
    image = np.asarray(shaded(Image.new("RGB", size, colour), field)).copy()
    image[rows < 4] = grout
    image[:, columns < 4] = grout
    return Image.fromarray(image)


def stripes(rng: Rng, size: Size, colours: Sequence[Colour], width: int) -> Image.Image:
    """Upright stripes, as on wallpaper and awnings."""
    image = Image.new("RGB", size, colours[0])
    draw = ImageDraw.Draw(image)
    for number, left in enumerate(range(0, size[0], width)):
        draw.rectangle((left, 0, left + width - 1, size[1]), fill=colours[number % len(colours)])
    return shaded(image, 0.04 * noise(rng, size, (200, 200)))


def checks(rng: Rng, size: Size, colours: tuple[Colour, Colour], side: int) -> Image.Image:
    """A checked, woven cloth: the full colour where stripes cross, half of it elsewhere."""
    light, dark = (np.array(colour, np.float32) for colour in colours)
    across = ((np.arange(size[0]) // side) % 2).astype(np.float32)
    down = ((np.arange(size[1]) // side) % 2).astype(np.float32)
    share = ((across[None] + down[:, None]) / 2)[..., None]
    cloth = Image.fromarray((light * (1 - share) + dark * share).astype(np.uint8))
    return shaded(cloth, 0.05 * noise(rng, size, (300, 300)) + 0.05 * noise(rng, size, (3, 3), 1))


def grass(rng: Rng, size: Size, far: Colour, near: Colour) -> Image.Image:
    """A lawn: fine upright streaks that get coarser towards the viewer."""
    width, height = size
    fine, coarse = noise(rng, size, (5, 9), 1), noise(rng, size, (9, 26), 2)
    nearness = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    field = 0.09 * fine * (1 - nearness) + 0.15 * coarse * nearness + 0.08 * noise(rng, size, (width / 3, 60), 3)
    return shaded(gradient(size, (far, near)), field)


def water(rng: Rng, size: Size, far: Colour, near: Colour) -> Image.Image:
    """Waves as flat streaks, small at the top and long at the bottom."""
    nearness = np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    field = 0.10 * noise(rng, size, (60, 5), 2) * (1 - nearness) + 0.16 * noise(rng, size, (220, 22), 3) * nearness
    return shaded(gradient(size, (far, near)), field)


def sky(rng: Rng, size: Size, top: Colour, bottom: Colour, clouds: float = 1.0) -> Image.Image:
    """A sky with clouds; `clouds` from 0 (none) to 1."""
    image = gradient(size, (top, bottom))
    cover = noise(rng, size, (520, 170), 4) - 0.25 + 0.15 * clouds
    mask = np.clip(cover * 420 * clouds, 0, 215).astype(np.uint8)
    image.paste(Image.new("RGB", size, (250, 250, 252)), mask=Image.fromarray(mask))
    return image


def ridge(rng: Rng, size: Size, base: float, height: float, rough: int = 4) -> list[tuple[float, float]]:
    """The outline of hills, closed along the bottom of the picture: points x, y. `base` is the mean y."""
    x = np.linspace(0, size[0], 81)
    y = np.full_like(x, base)
    for wave in range(1, rough + 1):
        phase = rng.uniform(0, 2 * np.pi)
        y += height / wave * np.sin(x / size[0] * 2 * np.pi * wave * rng.uniform(0.5, 1.1) + phase)
    points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    return [*points, (float(size[0]), float(size[1])), (0.0, float(size[1]))]


def cut(image: Image.Image, fill: Image.Image, outline: Sequence[tuple[float, float]]) -> None:
    """Paints the part of `fill` inside the outline onto `image`. Both have the same size."""
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).polygon(list(outline), fill=255)
    image.paste(fill, mask=mask)


def soft_shadow(image: Image.Image, box: tuple[float, float, float, float], blur: float, dark: float) -> None:
    """Darkens a box with soft edges, in place. `dark` is from 0 to 1."""
    x1, y1, x2, y2 = box
    reach = 3 * blur
    left, top = max(0, int(x1 - reach)), max(0, int(y1 - reach))
    right, bottom = min(image.width, int(x2 + reach)), min(image.height, int(y2 + reach))
    if left >= right or top >= bottom:
        return
    # Drawn at an eighth of the size, since a soft shadow has no detail.
    mask = Image.new("L", ((right - left) // 8 + 1, (bottom - top) // 8 + 1))
    inner = ((x1 - left) / 8, (y1 - top) / 8, (x2 - left) / 8, (y2 - top) / 8)
    ImageDraw.Draw(mask).rectangle(inner, fill=round(255 * dark))
    mask = mask.filter(ImageFilter.GaussianBlur(blur / 8)).resize(
        (right - left, bottom - top), Image.Resampling.BILINEAR
    )
    image.paste((12, 10, 16), (left, top), mask)
