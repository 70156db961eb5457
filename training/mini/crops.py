"""Training pictures: pieces of cluttered scenes, cut as tiles are cut, labelled with what each piece shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.mini.backdrops import backdrop
from training.mini.bank import MORE, UNCOLOURED, Concept, Sprite
from training.mini.clip import GRID, PIXELS
from training.mini.colours import COLOURS, own_colour, painted
from training.mini.restyled import coloured, restyled

Pixels = NDArray[np.uint8]

WIDTH, HEIGHT = 480, 360  # a canvas, in pixels of a 1600 x 1200 scene
PER_CANVAS = 8  # tiles cut from one canvas: they share its things, so they are each other's hard negatives
SLOTS = 8  # things recorded per tile, largest first
NOTHING, UNSURE = -1, -2
_MARGIN = 10  # room around a drawing for its shadow
_PATCHES = 0.34  # the share of patches that the patch losses use: more take time, and teach little more
_OTHER_STYLES = 0.25  # how often a thing is drawn in one of the styles of `MORE`
_RESTYLED = 0.3  # how often a drawing is changed to another style


@dataclass(frozen=True)
class Tiles:
    """B tiles and what they show. An empty slot has concept -1."""

    pixels: Pixels  # (B, PIXELS, PIXELS, 3) RGB
    concept: NDArray[np.int64]  # (B, SLOTS)
    colour: NDArray[np.int64]  # (B, SLOTS), -1 where no single colour is certain
    area: NDArray[np.float32]  # (B, SLOTS) visible part as a share of the tile
    visible: NDArray[np.float32]  # (B, SLOTS) visible part as a share of the whole thing
    patch: NDArray[np.int64]  # (B, GRID * GRID) slot that fills the patch, NOTHING or UNSURE


@dataclass(frozen=True)
class _Stamp:
    """One drawing at three sizes (128, 64 and 32 px), with premultiplied alpha, and its own colour or -1."""

    sizes: tuple[Pixels, Pixels, Pixels]
    colour: int
    uncoloured: bool


@dataclass(frozen=True)
class _Thing:
    concept: int
    colour: int
    pixels: int  # opaque pixels of the whole drawing on the canvas
    x: float
    y: float
    side: float


class Renderer:
    """Draws canvases from sprites and cuts them into labelled tiles."""

    def __init__(self, concepts: Sequence[Concept], sprites: Mapping[str, Sequence[Sprite]]) -> None:
        # Draws the style before the drawing: a style with five drawings of a dog counts no more than one with one.
        self._stamps: list[tuple[list[list[_Stamp]], list[list[_Stamp]]]] = []
        for concept in concepts:
            styles: dict[str, list[_Stamp]] = {}
            for sprite in sprites[concept.name]:
                styles.setdefault(sprite.style, []).append(_stamp(sprite))
            usual = [drawn for style, drawn in styles.items() if style not in MORE]
            self._stamps.append((usual, [drawn for style, drawn in styles.items() if style in MORE]))
        self._known = np.array([index for index, (usual, _) in enumerate(self._stamps) if usual])
        themes = sorted({theme for concept in concepts for theme in concept.themes})
        members = [[index for index in self._known if theme in concepts[index].themes] for theme in themes]
        self._themes = [np.array(some) for some in members if len(some) >= 5]
        self._behind = np.zeros((0, 0, 3), np.uint8)

    def tiles(self, count: int, ease: float, rng: np.random.Generator) -> Tiles:
        """`count` tiles. `ease` 1 shows single large things; 0 shows the full range of sizes and clutter."""
        rows: list[_Row] = []
        while len(rows) < count:
            rows += self._canvas(ease, rng)
        rows = [rows[index] for index in rng.permutation(len(rows))[:count]]
        patch = np.stack([row.patch for row in rows])
        patch[rng.random(patch.shape) > _PATCHES] = UNSURE
        return Tiles(
            np.stack([row.pixels for row in rows]),
            np.stack([row.concept for row in rows]),
            np.stack([row.colour for row in rows]),
            np.stack([row.area for row in rows]),
            np.stack([row.visible for row in rows]),
            patch,
        )

    def _canvas(self, ease: float, rng: np.random.Generator) -> list[_Row]:
        pixels = self._backdrop(rng)
        owner = np.full((HEIGHT, WIDTH), NOTHING, np.int16)
        things: list[_Thing] = []
        pool = self._themes[rng.integers(len(self._themes))] if rng.random() < 0.4 else self._known
        most = round(12 - 7 * ease)
        sides = np.exp(rng.uniform(np.log(36 + 40 * ease), np.log(140), rng.integers(3, most + 1)))
        large = rng.random(len(sides)) < 0.1 * (1 - ease)
        sides[large] *= rng.uniform(1.3, 2.2)
        for side in sorted(sides, reverse=True):  # large things stand behind small ones
            concept = int(pool[rng.integers(len(pool))])
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            things.append(self.place(pixels, owner, len(things), concept, (x, y, side), rng))
        if rng.random() < 0.5:
            pixels = _jpeg(pixels, int(rng.integers(50, 96)))
        order = rng.permutation(len(things))
        frames = [_frame(things[order[n % len(order)]], ease, rng) for n in range(PER_CANVAS - 1)]
        while ease < 0.5 and len(frames) < PER_CANVAS:  # at any place: on part of a thing, or on none
            side = np.exp(rng.uniform(np.log(90), np.log(300)))
            frames.append((rng.uniform(0, WIDTH - side), rng.uniform(0, HEIGHT - side), side))
        return [_cut(pixels, owner, things, frame, rng) for frame in frames]

    def _backdrop(self, rng: np.random.Generator) -> Pixels:
        # A backdrop costs as much as the rest of a canvas. So each is used about three times, mirrored, in other hues.
        if self._behind.size == 0 or rng.random() < 0.35:
            self._behind = backdrop(WIDTH, HEIGHT, rng)
        turns = (1 if rng.random() < 0.5 else -1, 1 if rng.random() < 0.5 else -1)
        return np.ascontiguousarray(self._behind[:: turns[0], :: turns[1], rng.permutation(3)])

    def place(
        self,
        pixels: Pixels,
        owner: NDArray[np.int16],
        number: int,
        concept: int,
        where: tuple[float, float, float],
        rng: np.random.Generator,
    ) -> _Thing:
        """Draws one thing into `pixels`, and `number` into `owner`. `where`: centre x, y and longer side in px."""
        usual, more = self._stamps[concept]
        styles = more if more and rng.random() < _OTHER_STYLES else usual
        drawings = styles[rng.integers(len(styles))]
        stamp = drawings[rng.integers(len(drawings))]
        x, y, side = where
        source = stamp.sizes[0 if side > 80 else 1 if side > 40 else 2]
        colour = stamp.colour
        if stamp.uncoloured:
            source, colour = coloured(source, rng)
        elif rng.random() < 0.25:
            colour = int(rng.integers(len(COLOURS)))
            source = painted(source, colour, rng)
        if not stamp.uncoloured and rng.random() < _RESTYLED:
            source, same = restyled(source, rng)
            colour = colour if same else -1
        drawn = _turned(source, side, rng)
        solid = drawn[..., 3] > 127
        _blend(pixels, owner, drawn, number, (round(x), round(y)), rng)
        return _Thing(concept, colour, max(1, int(solid.sum())), x, y, side)


@dataclass(frozen=True)
class _Row:
    pixels: Pixels
    concept: NDArray[np.int64]
    colour: NDArray[np.int64]
    area: NDArray[np.float32]
    visible: NDArray[np.float32]
    patch: NDArray[np.int64]


def _stamp(sprite: Sprite) -> _Stamp:
    rgba = sprite.rgba.astype(np.uint16)
    rgba[..., :3] = rgba[..., :3] * rgba[..., 3:] // 255
    full = rgba.astype(np.uint8)
    height, width = full.shape[:2]
    half, quarter = (
        cv2.resize(full, (max(1, width // by), max(1, height // by)), interpolation=cv2.INTER_AREA) for by in (2, 4)
    )
    sizes = (full, np.asarray(half, np.uint8), np.asarray(quarter, np.uint8))
    return _Stamp(sizes, own_colour(sprite.rgba), sprite.style in UNCOLOURED)


def _turned(source: Pixels, side: float, rng: np.random.Generator) -> Pixels:
    """The drawing at `side` px, turned, mirrored and stretched a little, with a margin around it."""
    height, width = source.shape[:2]
    scale = side / max(height, width)
    stretch = np.exp(rng.uniform(-0.12, 0.12))
    angle = np.deg2rad(rng.uniform(-25, 25) if rng.random() < 0.4 else rng.uniform(-8, 8))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([mirror * scale * stretch, scale / stretch])
    half = np.abs(matrix) @ np.array([width, height]) / 2 + _MARGIN
    size = np.ceil(2 * half).astype(int)
    shift = size / 2 - matrix @ np.array([width - 1, height - 1]) / 2
    drawn = cv2.warpAffine(source, np.column_stack([matrix, shift]), (int(size[0]), int(size[1])))
    return np.asarray(drawn, np.uint8)


def _blend(
    pixels: Pixels,
    owner: NDArray[np.int16],
    drawn: Pixels,
    number: int,
    centre: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    height, width = drawn.shape[:2]
    left, top = centre[0] - width // 2, centre[1] - height // 2
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + width, pixels.shape[1]), min(top + height, pixels.shape[0])
    if x1 >= x2 or y1 >= y2:
        return
    part = drawn[y1 - top : y2 - top, x1 - left : x2 - left]
    under = pixels[y1:y2, x1:x2]
    alpha = part[..., 3]
    if rng.random() < 0.5:
        shadow = cv2.blur(cv2.blur(alpha, (9, 9)), (7, 7))
        shadow = np.roll(shadow, (int(rng.integers(0, 7)), int(rng.integers(-5, 6))), (0, 1))
        dark = 255 - (shadow.astype(np.uint16) * int(rng.integers(60, 140)) >> 8)
        under = (under * dark[..., None] >> 8).astype(np.uint8)
    mixed = part[..., :3] + under * (255 - alpha.astype(np.uint16))[..., None] // 255
    pixels[y1:y2, x1:x2] = np.minimum(mixed, 255)
    owner[y1:y2, x1:x2][alpha > 127] = number


def _frame(thing: _Thing, ease: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Left, top and side of a tile. The thing has 0.24 to 1.05 of its side, and is off its centre by up to 0.36."""
    share = np.exp(rng.uniform(np.log(0.24 + 0.4 * ease), np.log(1.05 - 0.15 * ease)))
    side = float(np.clip(thing.side / share, 80, HEIGHT))
    reach = (0.36 - 0.26 * ease) * side
    left = thing.x - side / 2 + rng.uniform(-reach, reach)
    top = thing.y - side / 2 + rng.uniform(-reach, reach)
    return float(np.clip(left, 0, WIDTH - side)), float(np.clip(top, 0, HEIGHT - side)), side


def _cut(
    pixels: Pixels,
    owner: NDArray[np.int16],
    things: Sequence[_Thing],
    frame: tuple[float, float, float],
    rng: np.random.Generator,
) -> _Row:
    left, top, side = (int(value) for value in frame)
    piece = cv2.resize(pixels[top : top + side, left : left + side], (PIXELS, PIXELS), interpolation=cv2.INTER_AREA)
    # A quarter of the pixels is enough for areas: 24 by 24 samples per patch row and column of 4.
    fine = 4 * GRID
    at = (np.arange(fine) + 0.5) * side / fine
    ids = owner[np.ix_(top + at.astype(int), left + at.astype(int))]
    if rng.random() < 0.5:
        piece, ids = piece[:, ::-1], ids[:, ::-1]
    cells = ids.reshape(GRID, 4, GRID, 4).swapaxes(1, 2).reshape(GRID * GRID, 16)
    places = np.arange(GRID * GRID)[:, None] * (len(things) + 1) + cells + 1
    counts = np.bincount(places.ravel(), minlength=GRID * GRID * (len(things) + 1)).reshape(GRID * GRID, -1)
    return _labelled(_spoiled(np.ascontiguousarray(piece), rng), counts, things, side)


def _labelled(piece: Pixels, counts: NDArray[np.int64], things: Sequence[_Thing], side: int) -> _Row:
    """`counts` (patches, things + 1): how many of 16 samples per patch are background (0) or thing n (n + 1)."""
    concept, colour = np.full(SLOTS, -1), np.full(SLOTS, -1)
    area, visible = np.zeros(SLOTS, np.float32), np.zeros(SLOTS, np.float32)
    patch = np.full(len(counts), UNSURE)
    patch[counts[:, 0] >= 15] = NOTHING
    seen = counts[:, 1:].sum(0)
    order = np.argsort(-seen)[:SLOTS]
    for slot, number in enumerate(order[seen[order] > 0]):
        thing = things[number]
        concept[slot], colour[slot] = thing.concept, thing.colour
        area[slot] = seen[number] / counts.sum()
        visible[slot] = min(1.0, area[slot] * side * side / thing.pixels)
        patch[counts[:, number + 1] >= 6] = slot
    return _Row(piece, concept, colour, area, visible, patch)


def _spoiled(piece: Pixels, rng: np.random.Generator) -> Pixels:
    """Adds what real pictures have: changes of light, contrast and tint, blur and noise."""
    gain = np.exp(rng.uniform(-0.15, 0.15)) * np.exp(rng.uniform(-0.04, 0.04, 3))
    ramp = (np.arange(256, dtype=np.float32)[:, None] - 128) * gain + 128 + rng.uniform(-15, 15)
    piece = np.asarray(cv2.LUT(piece, np.clip(ramp, 0, 255).astype(np.uint8)[None]), np.uint8)
    if rng.random() < 0.2:
        grey = cv2.cvtColor(cv2.cvtColor(piece, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = rng.uniform(-0.3, 0.4)
        piece = np.asarray(cv2.addWeighted(piece, 1 - share, grey, share, 0), np.uint8)
    if rng.random() < 0.2:
        piece = np.asarray(cv2.GaussianBlur(piece, (0, 0), rng.uniform(0.4, 1.0)), np.uint8)
    if rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(2, 8), piece.shape).astype(np.float32)
        piece = np.clip(piece + noise, 0, 255).astype(np.uint8)
    return piece


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
