"""The windows of a detector: the whole photo, and tiles of a large photo."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from sorce.models.image_processor import View

# Up to this ratio of the photo's to the detector's input size, the shrunk photo loses no object that a tile would show.
ENOUGH = 1.5
# As in SAHI. Objects up to a fifth of a tile are complete in one of two neighbours; larger ones in the whole photo.
OVERLAP = 0.2
# Above this number the tiles grow. So a panorama needs no more time and memory than a photo of 12 megapixels.
MAX_TILES = 24


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels of a photo. It is square, or as high or as wide as the photo."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def longer(self) -> int:
        return max(self.width, self.height)

    def cut(self, photo: Image.Image) -> Image.Image:
        return photo.crop((self.left, self.top, self.right, self.bottom))


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A photo's size in pixels, its windows, and the detector's view of each; window 0 is the whole photo."""

    width: int
    height: int
    windows: list[Window]
    views: list[View]


def windows(width: int, height: int, side: int) -> list[Window]:
    """The whole photo, and overlapping tiles of `side` pixels if it is much larger than the detector's input."""
    whole = Window(0, 0, width, height)
    if whole.longer <= ENOUGH * side:
        return [whole]
    tile = side
    while _count(width, tile) * _count(height, tile) > MAX_TILES:
        tile = tile * 9 // 8 + 1
    across, down = min(tile, width), min(tile, height)
    tiles = [
        Window(left, top, left + across, top + down) for top in _starts(height, tile) for left in _starts(width, tile)
    ]
    return [whole, *tiles]


def _count(length: int, tile: int) -> int:
    step = max(1, int(tile * (1 - OVERLAP)))
    return 1 + max(0, -(-(length - tile) // step))


def _starts(length: int, tile: int) -> list[int]:
    """Start positions, evenly spread from edge to edge, so that all tiles have the same size."""
    count = _count(length, tile)
    return [number * (length - tile) // (count - 1) for number in range(count)] if count > 1 else [0]
