"""The eleven basic colours: finds the colour of a drawing, and paints a drawing in another colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Name -> dark, middle and light shade, RGB.
SHADES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]] = {
    "red": ((90, 0, 5), (215, 25, 30), (255, 125, 115)),
    "orange": ((140, 55, 0), (245, 130, 15), (255, 195, 110)),
    "yellow": ((150, 115, 0), (250, 215, 30), (255, 245, 150)),
    "green": ((0, 60, 15), (35, 160, 55), (150, 225, 140)),
    "blue": ((5, 20, 95), (30, 90, 215), (130, 185, 255)),
    "purple": ((50, 5, 85), (130, 45, 175), (200, 145, 235)),
    "pink": ((165, 35, 95), (250, 125, 175), (255, 205, 225)),
    "brown": ((50, 25, 10), (125, 75, 35), (185, 135, 90)),
    "black": ((5, 5, 8), (35, 35, 40), (95, 95, 100)),
    "grey": ((75, 75, 80), (135, 135, 140), (185, 185, 190)),
    "white": ((165, 165, 170), (235, 235, 240), (255, 255, 255)),
}
COLOURS = tuple(SHADES)
_MIDDLE = np.array([shades[1] for shades in SHADES.values()], np.float32)


def own_colour(rgba: Pixels) -> int:
    """The index of the colour that fills at least 0.65 of the drawing (h, w, 4; straight alpha), or -1."""
    solid = rgba[rgba[..., 3] > 200][::11, :3]
    if len(solid) == 0:
        return -1
    counts = np.bincount(_nearest(solid), minlength=len(COLOURS))
    best = int(counts.argmax())
    return best if counts[best] >= 0.65 * len(solid) else -1


def _nearest(rgb: Pixels) -> NDArray[np.int64]:
    """The basic colour of each of n pixels (n, 3): the one with the nearest of all shades in CIELAB."""
    shades = np.array(list(SHADES.values()), np.float32).reshape(1, -1, 3) / 255
    there = cv2.cvtColor(shades, cv2.COLOR_RGB2LAB)[0]
    here = cv2.cvtColor(rgb[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm((here[:, None] - there[None]) * np.array([0.6, 1, 1]), axis=2)
    return np.asarray(distance.argmin(1) // 3, np.int64)


def painted(source: Pixels, colour: int, rng: np.random.Generator) -> Pixels:
    """The drawing (h, w, 4; premultiplied alpha) in the shades of one basic colour, as light and dark as before."""
    alpha = source[..., 3]
    grey = cv2.cvtColor(np.ascontiguousarray(source[..., :3]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = grey / np.maximum(alpha, 1) * 255
    solid = alpha > 127
    if not solid.any():
        return source
    low, high = np.percentile(light[solid], (3, 97))
    level = np.clip((light - low) / max(high - low, 40.0), 0, 1) ** rng.uniform(0.7, 1.3)
    shades = np.array(SHADES[COLOURS[colour]], np.float32) + rng.uniform(-14, 14, 3)
    ramp = np.stack([np.interp(np.linspace(0, 1, 256), (0, 0.5, 1), shades[:, channel]) for channel in range(3)], 1)
    tint = ramp[(level * 255).astype(np.uint8)]
    if rng.random() < 0.5:
        # Only where the drawing has a hue. Dark outlines, metal and glass keep their colour, as on a real red umbrella.
        spread = source[..., :3].max(2).astype(np.int16) - source[..., :3].min(2)
        hued = (spread > 50) & solid
        if hued.sum() > 0.5 * solid.sum():
            keep = ~hued
            tint[keep] = (source[..., :3][keep].astype(np.float32) / np.maximum(alpha[keep], 1)[:, None]) * 255
    result = source.copy()
    result[..., :3] = (np.clip(tint, 0, 255) * (alpha[..., None] / 255)).astype(np.uint8)
    return result
