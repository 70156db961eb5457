"""Backgrounds of training pictures: light, texture, planks, tiles, and shapes that are no concept."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def backdrop(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """A background (height, width, 3), RGB, that shows no concept."""
    base = _colour(rng)
    ramp = _ramp(width, height, rng)[..., None]
    pixels = base + (_colour(rng) - base) * ramp * rng.uniform(0, 1)
    kind = rng.random()
    if kind < 0.3:
        _planks(pixels, rng)
    elif kind < 0.45:
        _checks(pixels, rng)
    elif kind < 0.7:
        edge = int(rng.uniform(0.2, 0.8) * height)
        pixels[edge:] = pixels[edge:] * 0.2 + _colour(rng) * 0.8
    for _ in range(rng.integers(0, 7)):
        _shape(pixels, rng)
    pixels += _grain(width, height, rng)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator) -> NDArray[np.float32]:
    hue, saturation, value = rng.uniform(0, 360), rng.beta(1.2, 2.5), rng.uniform(0.1, 1)
    hsv = np.array([[[hue, saturation, value]]], np.float32)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] * 255, np.float32)


def _ramp(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None] * np.cos(angle)
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.sin(angle)
    return np.asarray(across + down + 0.5, np.float32)


def _planks(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    step = int(rng.uniform(20, 150))
    upright = rng.random() < 0.3
    length = pixels.shape[1 if upright else 0]
    for start in range(int(rng.integers(0, step)), length, step):
        band = slice(start, start + int(step * rng.uniform(0.3, 0.95)))
        part = pixels[:, band] if upright else pixels[band]
        part *= rng.uniform(0.75, 1.25)
        line = pixels[:, start : start + 3] if upright else pixels[start : start + 3]
        line *= rng.uniform(0.4, 1.2)


def _checks(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    step = int(rng.uniform(15, 90))
    down, across = (np.arange(size) // step for size in pixels.shape[:2])
    pixels[(down[:, None] + across[None]) % 2 == 0] *= rng.uniform(0.6, 1.4)


def _shape(pixels: NDArray[np.float32], rng: np.random.Generator) -> None:
    height, width = pixels.shape[:2]
    centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
    axes = (int(np.exp(rng.uniform(1.5, 5))), int(np.exp(rng.uniform(1.5, 5))))
    colour = tuple(float(value) for value in _colour(rng))
    kind = rng.integers(4)
    if kind == 0:
        cv2.ellipse(pixels, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_8)
    elif kind == 1:
        corner = (centre[0] + 2 * axes[0], centre[1] + 2 * axes[1])
        cv2.rectangle(pixels, centre, corner, colour, -1 if rng.random() < 0.7 else int(rng.integers(2, 9)))
    elif kind == 2:
        corners = np.array(centre) + rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2)) * axes[0]
        cv2.fillPoly(pixels, [corners.astype(np.int32)], colour)
    else:
        end = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.line(pixels, centre, end, colour, int(rng.integers(1, 9)))


def _grain(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Texture: noise of one or two sizes, sometimes stretched sideways like wood or cloth."""
    total = np.zeros((height, width, 1), np.float32)
    for _ in range(rng.integers(0, 3)):
        size = np.exp(rng.uniform(0, 4, 2)) if rng.random() < 0.5 else np.repeat(np.exp(rng.uniform(0, 4)), 2)
        small = rng.normal(0, rng.uniform(2, 22), (int(height / size[0]) + 2, int(width / size[1]) + 2))
        total += cv2.resize(small.astype(np.float32), (width, height))[..., None]
    return total
