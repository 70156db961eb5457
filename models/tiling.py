"""Where tiles lie: a pure function of a photo's size, so that it can be asked without a model or a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sorce.mappings import Box

MIN_OBJECT_SIZE = 0.025
"""Side of the smallest object to find, as a share of the photo's longer side."""
MAX_REGIONS = 250
"""Most regions of a photo that are encoded, the whole photo included."""
MAX_STORED = 114
"""Most of them that are stored: with `mini`, on 100 choosing scenes, this half finds as much as all (300 queries)."""

# An object is clear from about so many of the photo's pixels a side on, ...
CLEAR = 22
# ... and to an encoder from about so many of those that it sees: with `mini`, on choosing scenes, 30 gave a mAP of .45,
# where 22 gave .34, ...
KNOWN = 30
# ... and in a tile of at most so many times the object's side, however many pixels the encoder takes.
REACH = 5
# Neighbours share half a side: an object of up to half a tile's side is whole in one of them.
STRIDE = 0.5
# Tiles of the next coarser scale are so many times larger.
ZOOM = 2
# A tile that spans more of the photo than this would only be the photo again.
NEARLY_ALL = 0.9


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

    def sheet(self, width: int, height: int, input_size: int) -> Sheet:
        """The photo scaled so that a tile is as large as what the network sees."""
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

    Tiles overlap: scaling the photo once takes a quarter of the time that scaling each tile would, and gives the same.
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
        """The windows in pixels of the photo, which has this width and height."""
        # Multiplied first: then the last window ends exactly where the photo does.
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
    """The tiles of a photo, coarsest scale first: at most `max_regions` less one, for the photo itself."""
    grids = fit(all_grids(width, height, min_object_size, input_size), width, height, max_regions - 1)
    return [grid.sheet(width, height, input_size) for grid in reversed(grids)]


def all_grids(width: int, height: int, min_object_size: float, input_size: int) -> list[Grid]:
    """Every scale, finest first, as if there were no limit; none for a photo no larger than a tile."""
    longer, shorter = max(width, height), min(width, height)
    # Tiles of fewer pixels than make an object clear would only enlarge blur.
    smallest_object = max(CLEAR, min_object_size * longer)
    tile = round(smallest_object * max(1.0, min(REACH, input_size / KNOWN)))
    if tile > NEARLY_ALL * longer:
        return []
    grids, side = [], min(tile, shorter)
    while side <= min(shorter, NEARLY_ALL * longer):
        grids.append(_grid(width, height, side, STRIDE))
        side *= ZOOM
    return grids


def fit(grids: Sequence[Grid], width: int, height: int, room: int) -> list[Grid]:
    """At most `room` tiles, finest first.

    Small objects come first: scales above the finest are left out, the nearest first, where it could not even cover the
    photo beside them. Then the finest is thinned evenly; where too few tiles are left to cover the photo, they grow.
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
    return [finest, *coarser] if finest.side <= NEARLY_ALL * max(width, height) else coarser


def _grid(width: int, height: int, side: int, stride: float) -> Grid:
    columns, rows = (1 + -(-(length - side) // max(1, int(side * stride))) for length in (width, height))
    return Grid(side, side, int(columns), int(rows))


def _thinned(grid: Grid, width: int, height: int, room: int) -> Grid:
    """At most `room` tiles, spread as evenly over the width as over the height, and grown to cover both."""

    def gap(columns: int) -> float:
        rows = min(grid.rows, room // columns)
        return max(_step(width, grid.across, columns), _step(height, grid.down, rows))

    columns = min(range(1, min(grid.columns, room) + 1), key=gap, default=1)
    rows = max(1, min(grid.rows, room // columns))
    side = max(grid.side, -(-width // columns), -(-height // rows))
    across, down = min(side, width), min(side, height)
    # Tiles that grew may have fewer places to start from than there were columns.
    return Grid(across, down, min(columns, width - across + 1), min(rows, height - down + 1))


def _step(length: int, tile: int, count: int) -> float:
    """Distance between neighbours; a lone tile would have to grow to the full length."""
    return (length - tile) / (count - 1) if count > 1 else float(length if length > tile else 0)


def _starts(room: int, count: int) -> list[int]:
    # Floored, not rounded: then no step is more than a pixel longer than the others, and none leaves a gap.
    return [number * room // max(1, count - 1) for number in range(count)]
