"""Other drawing styles, made from the drawings at hand: outlines, flat colours, other hues, ink, one colour.

All pictures are uint8 (h, w, 4), RGB with premultiplied alpha.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.mini.colours import COLOURS, SHADES

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_SOLID = 127  # A pixel with more alpha is part of the thing.


def restyled(source: Pixels, rng: np.random.Generator) -> tuple[Pixels, bool]:
    """The drawing in another style, and whether its colour is still what it was."""
    kind = rng.random()
    if kind < 0.3:
        return outlined(source, rng), True
    if kind < 0.5:
        return outlined(flat(source, rng), rng), True
    if kind < 0.6:
        return flat(source, rng), True
    if kind < 0.75:
        return inked(source, rng), False
    shifted = other_hue(source, rng)
    return (outlined(shifted, rng) if rng.random() < 0.4 else shifted), False


def outlined(source: Pixels, rng: np.random.Generator) -> Pixels:
    """Dark lines along the thing's border and, mostly, between its colours."""
    lines = _border(source, rng)
    if rng.random() < 0.7:
        lines |= _inner_lines(source, rng)
    return _drawn(source, lines, _ink(rng))


def flat(source: Pixels, rng: np.random.Generator) -> Pixels:
    """Few colours, without shades: each channel keeps two to four levels."""
    levels = int(rng.integers(2, 5))
    steps = (np.arange(256) * levels // 256).astype(np.float32) * (255 / (levels - 1))
    share = rng.uniform(0.6, 1.0)  # of the full change; the rest keeps the drawing's own tone
    table = (steps * share + np.arange(256) * (1 - share)).clip(0, 255).astype(np.uint8)
    result = source.copy()
    result[..., :3] = cv2.LUT(_smooth(source), table[None])
    return _premultiplied(result)


def other_hue(source: Pixels, rng: np.random.Generator) -> Pixels:
    """All hues turned by the same angle, more or less colourful."""
    hsv = cv2.cvtColor(np.ascontiguousarray(source[..., :3]), cv2.COLOR_RGB2HSV)
    turned = (np.arange(256) + int(rng.integers(15, 166))) % 180
    colourful = np.arange(256) * rng.uniform(0.5, 1.3)
    tables = np.stack([turned, colourful.clip(0, 255), np.arange(256)], 1).astype(np.uint8)[None]
    result = source.copy()
    result[..., :3] = cv2.cvtColor(cv2.LUT(hsv, tables), cv2.COLOR_HSV2RGB)
    return _premultiplied(result)


def inked(source: Pixels, rng: np.random.Generator) -> Pixels:
    """A line drawing: ink along the borders of all colours, on one pale or bright colour."""
    lines = _border(source, rng) | _inner_lines(source, rng)
    paper = np.array(rng.uniform(150, 256, 3) if rng.random() < 0.7 else rng.uniform(0, 256, 3), np.float32)
    result = source.copy()
    result[..., :3] = (paper * (source[..., 3:] / 255.0)).astype(np.uint8)
    return _drawn(result, lines, _ink(rng))


def coloured(strokes: Pixels, rng: np.random.Generator) -> tuple[Pixels, int]:
    """A drawing without colours, inked in one colour and filled with another, and which colour it mainly has.

    Only the alpha of `strokes` is used; what it encloses is filled. The colour is an index of COLOURS.
    """
    alpha = strokes[..., 3]
    whole = np.maximum(alpha, _filled(alpha))
    colour = int(rng.integers(len(COLOURS)))
    fill = (np.array(SHADES[COLOURS[colour]][1]) + rng.uniform(-14, 14, 3)).astype(np.float32)
    ink = _ink(rng).astype(np.float32)
    covered = (alpha > _SOLID).sum() / max(1, (whole > _SOLID).sum())
    if covered > 0.75:  # a silhouette: it has the colour itself, and its few gaps are the other one
        gaps = fill * 0.4 + 150 if rng.random() < 0.7 else ink
        fill, ink = gaps.astype(np.float32), fill.astype(np.float32)
    share = alpha[..., None] / 255.0
    result = np.empty((*alpha.shape, 4), np.uint8)
    result[..., :3] = (ink * share + fill * (1 - share)).clip(0, 255) * (whole[..., None] / 255.0)
    result[..., 3] = whole
    return result, colour


def _filled(alpha: Pixels) -> Pixels:
    """255 wherever the outside cannot be reached without crossing a stroke."""
    height, width = alpha.shape
    walls = np.zeros((height + 2, width + 2), np.uint8)
    walls[1:-1, 1:-1] = np.where(alpha > 40, 1, 0)
    mask = np.zeros((height + 4, width + 4), np.uint8)
    cv2.floodFill(walls, mask, (0, 0), 2)
    return np.where(walls[1:-1, 1:-1] == 2, 0, 255).astype(np.uint8)


def _border(source: Pixels, rng: np.random.Generator) -> Mask:
    solid = np.pad((source[..., 3] > _SOLID).astype(np.uint8), 1)
    width = 1 + 2 * max(1, round(max(solid.shape) * float(rng.uniform(0.008, 0.035))))
    inside = cv2.erode(solid, np.ones((width, width), np.uint8), borderValue=0)
    return np.asarray((solid > inside)[1:-1, 1:-1], np.bool_)


def _inner_lines(source: Pixels, rng: np.random.Generator) -> Mask:
    grey = cv2.cvtColor(_smooth(source), cv2.COLOR_RGB2GRAY)
    edges = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > rng.uniform(25, 60)
    if max(grey.shape) > 64 and rng.random() < 0.4:
        edges = cv2.dilate(edges.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0
    return np.asarray(edges & (source[..., 3] > _SOLID), np.bool_)


def _drawn(source: Pixels, lines: Mask, ink: NDArray[np.float64]) -> Pixels:
    result = source.copy()
    result[lines, :3] = ink * (source[lines, 3:] / 255.0)
    return result


def _smooth(source: Pixels) -> Pixels:
    size = 5 if max(source.shape) > 64 else 3
    return np.asarray(cv2.medianBlur(np.ascontiguousarray(source[..., :3]), size), np.uint8)


def _ink(rng: np.random.Generator) -> NDArray[np.float64]:
    """Mostly black or nearly so."""
    if rng.random() < 0.5:
        return np.zeros(3) + rng.uniform(0, 40)
    return rng.uniform(0, 110, 3)


def _premultiplied(drawing: Pixels) -> Pixels:
    """No channel above alpha, in place."""
    np.minimum(drawing[..., :3], drawing[..., 3:], out=drawing[..., :3])
    return drawing
