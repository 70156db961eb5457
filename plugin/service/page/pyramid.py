"""A photo in tiles, at its own size and at each half of it down to one tile: what deep zoom needs.

Level `top` has the photo's own pixels; each level below has half the width and height, rounded up. As in Microsoft's
Deep Zoom, level 0 would be one pixel. Levels that fit into one tile, except the largest of them, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

TILE = 512
"""The side of a tile in pixels; those at the right and at the bottom may be smaller."""

Emit = Callable[["Tile", "Image"], None]


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of a tile: column and row, from 0, of its level."""

    level: int
    column: int
    row: int


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a photo of this size in pixels."""

    width: int
    height: int

    @property
    def top(self) -> int:
        return (max(self.width, self.height) - 1).bit_length()

    @property
    def bottom(self) -> int:
        """The largest level of a single tile."""
        return max(0, min(self.top, TILE.bit_length() - 1))

    def size(self, level: int) -> tuple[int, int]:
        """Width and height of a level in pixels."""
        factor = 1 << (self.top - level)
        return ceil(self.width / factor), ceil(self.height / factor)

    def holds(self, tile: Tile) -> bool:
        if not self.bottom <= tile.level <= self.top:
            return False
        width, height = self.size(tile.level)
        return 0 <= tile.column * TILE < width and 0 <= tile.row * TILE < height


def cut(levels: Levels, strips: Iterable[Image], emit: Emit) -> None:
    """Gives each tile to `emit`. `strips` are TILE rows each, from the top; only some of each level are in memory."""
    lower = _Level(levels.bottom, None, emit)
    for level in range(levels.bottom + 1, levels.top + 1):
        lower = _Level(level, lower, emit)
    for strip in strips:
        lower.add(strip)
    lower.end()


class _Level:
    """Takes the rows of a level, TILE at a time, and passes them on to the level below at half the size."""

    def __init__(self, level: int, below: _Level | None, emit: Emit) -> None:
        self._level, self._below, self._emit = level, below, emit
        self._row = 0
        self._upper: Image | None = None

    def add(self, strip: Image) -> None:
        """TILE rows; fewer are the last."""
        for column, left in enumerate(range(0, strip.width, TILE)):
            right = min(left + TILE, strip.width)
            self._emit(Tile(self._level, column, self._row), strip.crop((left, 0, right, strip.height)))
        self._row += 1
        if self._below is not None:
            self._pass_on(strip.reduce(2), self._below)

    def end(self) -> None:
        if self._below is not None:
            if self._upper is not None:
                self._below.add(self._upper)
            self._below.end()

    def _pass_on(self, half: Image, below: _Level) -> None:
        from PIL import Image

        if self._upper is None:
            self._upper = half
            return
        both = Image.new("RGB", (half.width, self._upper.height + half.height))
        both.paste(self._upper, (0, 0))
        both.paste(half, (0, self._upper.height))
        self._upper = None
        below.add(both)
