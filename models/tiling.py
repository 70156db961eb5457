"""Positions of tiles: a pure function of a photo's size. It needs neither a model nor a photo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sorce.errors import ModelError
from sorce.mappings import Box
from sorce.mappings.limits import MAX_NESTED

MIN_OBJECT_SIZE = 0.025
"""Side of the smallest object to find, as a share of the photo's longer side."""
MAX_REGIONS = 250
"""Most regions of a photo that are encoded, the whole photo included."""
MAX_STORED = 114
"""Most of them that are stored. With `mini`, on the choosing scenes, these find as much as all (300 queries)."""

# Smallest side of an object in the photo's own pixels. Fewer pixels show too little, even when enlarged.
MIN_PHOTO_PIXELS = 22
# Smallest side of an object in pixels of the encoder's input. With `mini`, on choosing scenes, 30 gave a mAP of .45,
# and 22 gave .34.
MIN_INPUT_PIXELS = 30
# Largest side of a tile, in sides of the smallest object, for any input size of the encoder.
MAX_TILE_TO_OBJECT = 5
# Step between neighbours, in sides of a tile. One tile then contains all of an object of up to half its side.
STRIDE = 0.5
# Side of a tile of the next coarser scale, relative to this scale.
SCALE_FACTOR = 2
# A tile that spans more of the photo's longer side than this would only repeat the photo.
MAX_SPAN = 0.9


@dataclass(frozen=True, slots=True)
class TileSettings:
    """Parameters of the regions method `tiles`; all are part of the recipe.

    `min_object_size` is the side of the smallest object to find, as a share of the photo's longer side. `max_regions`
    is the most regions of a photo that are encoded, the whole photo included. `max_stored` is the most of these that
    are stored; regions that nearly repeat others, or show what most of the photo shows, are left out. `encoded_share`
    is the share of the planned regions that are encoded: their pixels decide which (`sorce.models.distinct_crops`).
    Raises ModelError for values out of range.
    """

    min_object_size: float = MIN_OBJECT_SIZE
    max_regions: int = MAX_REGIONS
    max_stored: int = MAX_STORED
    encoded_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.min_object_size <= 1:
            raise ModelError(
                f"min_object_size={self.min_object_size} is not a share of a photo's side; choose more than 0 and at "
                f"most 1, such as {MIN_OBJECT_SIZE}."
            )
        for name, value, usual in (
            ("max_regions", self.max_regions, MAX_REGIONS),
            ("max_stored", self.max_stored, MAX_STORED),
        ):
            if value < 1:
                raise ModelError(
                    f"{name}={value} leaves no room for the photo itself; choose 1 or more, such as {usual}."
                )
        if not 0 < self.encoded_share <= 1:
            raise ModelError(
                f"encoded_share={self.encoded_share} is not a share; choose more than 0 and at most 1, such as 0.5."
            )
        if (stored := min(self.max_regions, self.max_stored)) > MAX_NESTED:
            raise ModelError(
                f"max_regions={self.max_regions} with max_stored={self.max_stored} would store up to {stored} regions "
                f"of a photo, and OpenSearch takes at most {MAX_NESTED}; choose a max_stored of at most {MAX_NESTED}."
            )


@dataclass(frozen=True, slots=True)
class Grid:
    """Equal tiles of `across` x `down` pixels in evenly spread columns and rows, from edge to edge of a photo."""

    across: int
    down: int
    columns: int
    rows: int

    def __len__(self) -> int:
        return self.columns * self.rows

    @property
    def side(self) -> int:
        return max(self.across, self.down)

    def overlap(self, width: int, height: int) -> float:
        """Overlap of neighbours in pixels, the smaller of both directions. A single tile has the full length."""
        shared = [
            tile - _step(length, tile, count) if count > 1 else float(length)
            for length, tile, count in ((width, self.across, self.columns), (height, self.down, self.rows))
        ]
        return min(shared)

    def sheet(self, width: int, height: int, input_size: int) -> Sheet:
        """The photo scaled so that a tile has the network's input size."""
        return Sheet(
            width=round(width * input_size / self.across),
            height=round(height * input_size / self.down),
            window=input_size,
            columns=self.columns,
            rows=self.rows,
        )


@dataclass(frozen=True, slots=True)
class Sheet:
    """A photo scaled to `width` x `height` pixels, and the square windows in it.

    Tiles overlap: scaling the photo once takes a quarter of the time of scaling each tile, and gives the same result.
    """

    width: int
    height: int
    window: int
    columns: int
    rows: int

    def corners(self) -> list[tuple[int, int]]:
        """Left and top of each window, row by row."""
        lefts, tops = _starts(self.width - self.window, self.columns), _starts(self.height - self.window, self.rows)
        return [(left, top) for top in tops for left in lefts]

    def boxes(self, width: int, height: int) -> list[Box]:
        """The windows in pixels of a photo of this width and height."""
        # Multiply before dividing: then the last window ends exactly at the photo's edge.
        return [
            Box(
                left * width / self.width,
                top * height / self.height,
                (left + self.window) * width / self.width,
                (top + self.window) * height / self.height,
            )
            for left, top in self.corners()
        ]


def plan(width: int, height: int, min_object_size: float, max_regions: int, input_size: int) -> list[Sheet]:
    """The tiles of a photo, coarsest scale first: at most `max_regions` - 1, since the photo itself is one region."""
    grids = fit(all_grids(width, height, min_object_size, input_size), width, height, max_regions - 1)
    return [grid.sheet(width, height, input_size) for grid in reversed(grids)]


def all_grids(width: int, height: int, min_object_size: float, input_size: int) -> list[Grid]:
    """The grids of all scales without a limit, finest first; none for a photo no larger than a tile."""
    longer, shorter = max(width, height), min(width, height)
    # Smaller tiles would only enlarge blur.
    smallest_object = max(MIN_PHOTO_PIXELS, min_object_size * longer)
    tile = round(smallest_object * _tile_to_object(input_size))
    if tile > MAX_SPAN * longer:
        return []
    grids, side = [], min(tile, shorter)
    while side <= min(shorter, MAX_SPAN * longer):
        grids.append(_grid(width, height, side, STRIDE))
        side *= SCALE_FACTOR
    return grids


def smallest_found(grids: Sequence[Grid], width: int, height: int, input_size: int) -> int:
    """Side in pixels of the smallest object that, at any position, is visible in some tile or in the whole photo.

    An object is visible in a tile that contains all of it, or as many of its pixels as the smallest visible object has.
    """
    ratio = _tile_to_object(input_size)
    sides = [max(width, height) / ratio]
    for grid in grids:
        needed = grid.side / ratio
        # Two tiles may overlap by less than an object's side. One of them still shows (side + overlap) / 2 of it.
        sides.append(max(needed, 2 * needed - grid.overlap(width, height)))
    return math.ceil(max(MIN_PHOTO_PIXELS, min(sides)))


def _tile_to_object(input_size: int) -> float:
    """Largest side of a tile in which the encoder still sees an object of side 1."""
    return max(1.0, min(MAX_TILE_TO_OBJECT, input_size / MIN_INPUT_PIXELS))


def fit(grids: Sequence[Grid], width: int, height: int, room: int) -> list[Grid]:
    """At most `room` tiles, finest first.

    Small objects have priority. While the finest scale cannot cover the photo beside the coarser ones, the next coarser
    scale is removed. Then the finest is thinned evenly. If too few tiles remain to cover the photo, they grow.
    """
    if not grids:
        return []
    finest, *coarser = grids
    bare = len(_grid(width, height, finest.side, stride=1))
    while coarser and bare + sum(map(len, coarser)) > room:
        del coarser[0]
    left = room - sum(map(len, coarser))
    if len(finest) > left:
        finest = _thinned(finest, width, height, left)
    return [finest, *coarser] if finest.side <= MAX_SPAN * max(width, height) else coarser


def _grid(width: int, height: int, side: int, stride: float) -> Grid:
    columns, rows = (1 + -(-(length - side) // max(1, int(side * stride))) for length in (width, height))
    return Grid(side, side, int(columns), int(rows))


def _thinned(grid: Grid, width: int, height: int, room: int) -> Grid:
    """At most `room` tiles, spread evenly over width and height, and enlarged to cover both."""

    def gap(columns: int) -> float:
        rows = min(grid.rows, room // columns)
        return max(_step(width, grid.across, columns), _step(height, grid.down, rows))

    columns = min(range(1, min(grid.columns, room) + 1), key=gap, default=1)
    rows = max(1, min(grid.rows, room // columns))
    side = max(grid.side, -(-width // columns), -(-height // rows))
    across, down = min(side, width), min(side, height)
    # Enlarged tiles may have fewer possible start positions than there were columns.
    return Grid(across, down, min(columns, width - across + 1), min(rows, height - down + 1))


def _step(length: int, tile: int, count: int) -> float:
    """Distance between neighbours. A single tile would have to grow to the full length."""
    return (length - tile) / (count - 1) if count > 1 else float(length if length > tile else 0)


def _starts(room: int, count: int) -> list[int]:
    # Floored, not rounded: so steps differ by at most a pixel, and none leaves a gap.
    # For a small input the scaled photo may be too small for all of them: then some would be the same.
    return list(dict.fromkeys(number * room // max(1, count - 1) for number in range(count)))
