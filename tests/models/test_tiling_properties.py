"""Properties that hold for the tiles of all photos."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sorce.mappings import Box
from sorce.models.tiling import (
    MAX_SPAN,
    MAX_TILE_TO_OBJECT,
    MIN_INPUT_PIXELS,
    MIN_PHOTO_PIXELS,
    Sheet,
    all_grids,
    fit,
    plan,
    smallest_found,
)
from tests.kit.examples import examples

LONGEST = 20_000


@dataclass(frozen=True)
class Asked:
    width: int
    height: int
    smallest: float
    most: int
    input_size: int

    @property
    def sheets(self) -> list[Sheet]:
        return plan(self.width, self.height, self.smallest, self.most, self.input_size)

    def boxes(self, sheet: Sheet) -> list[Box]:
        return sheet.boxes(self.width, self.height)

    @property
    def object_side(self) -> float:
        """Of the smallest object to find, or what is clear, in pixels of the photo."""
        return max(MIN_PHOTO_PIXELS, self.smallest * max(self.width, self.height))

    @property
    def is_bound(self) -> bool:
        """Whether there were more tiles than may be."""
        grids = all_grids(self.width, self.height, self.smallest, self.input_size)
        return sum(map(len, grids)) > self.most - 1


sides = st.integers(1, LONGEST) | st.integers(1, 400)
asked = st.builds(
    Asked, sides, sides, st.floats(0.002, 1), st.integers(1, 400), st.sampled_from([32, 64, 96, 224, 256, 384, 512])
)


def spans(boxes: list[Box], down: bool) -> list[tuple[float, float]]:
    """Of the columns, or rows, from first to last."""
    return sorted({(box.y1, box.y2) if down else (box.x1, box.x2) for box in boxes})


@examples(300)
@example(Asked(1591, 931, 0.546875, 5, 32))  # two rows that round to the same tiles
@given(asked)
def test_tiles_stay_in_the_photo_are_not_the_photo_and_no_more_than_most(asked: Asked) -> None:
    tiles = [box for sheet in asked.sheets for box in asked.boxes(sheet)]
    assert len(tiles) <= max(0, asked.most - 1)
    assert len(set(tiles)) == len(tiles)
    for box in tiles:
        assert 0 <= box.x1 < box.x2 <= asked.width
        assert 0 <= box.y1 < box.y2 <= asked.height
        # The network's input is square, and so are tiles, unless the photo is too small or tiles had to grow.
        assert max(box.x2 - box.x1, box.y2 - box.y1) <= MAX_SPAN * max(asked.width, asked.height) + 1


@examples(300)
@given(asked)
def test_each_scale_covers_the_photo(asked: Asked) -> None:
    for sheet in asked.sheets:
        boxes = asked.boxes(sheet)
        assert len(boxes) == sheet.columns * sheet.rows
        for down, length in ((False, asked.width), (True, asked.height)):
            found = spans(boxes, down)
            assert found[0][0] == 0
            assert found[-1][1] == length
            # One pixel of the scaled photo is cut off where its size was rounded.
            slack = length / (sheet.height if down else sheet.width)
            assert all(after[0] <= before[1] + slack for before, after in pairwise(found))


@examples(150)
@given(asked, st.floats(0, 1), st.floats(0, 1))
def test_the_smallest_object_shows_in_a_tile_wherever_it_lies(asked: Asked, across: float, down: float) -> None:
    if not asked.sheets:
        return
    finest = asked.boxes(asked.sheets[-1])
    side = min(asked.object_side, asked.width, asked.height)
    left, top = across * (asked.width - side), down * (asked.height - side)
    shown = max(
        min(min(box.x2, left + side) - max(box.x1, left), min(box.y2, top + side) - max(box.y1, top)) for box in finest
    )
    # An object of at most half a tile is whole in one of two neighbours, unless some tiles had to be left out.
    whole = not asked.is_bound and 2 * side <= min(min(box.x2 - box.x1, box.y2 - box.y1) for box in finest)
    # Tiles are placed at whole pixels of the scaled photo.
    assert shown >= (side if whole else side / 2) - (2 + side * 0.02)


@examples(150)
@given(asked, st.floats(0, 1), st.floats(0, 1))
def test_an_object_that_is_said_to_be_found_shows_well_wherever_it_lies(
    asked: Asked, across: float, down: float
) -> None:
    size, longer = (asked.width, asked.height), max(asked.width, asked.height)
    grids = fit(all_grids(*size, asked.smallest, asked.input_size), *size, asked.most - 1)
    side = smallest_found(grids, *size, asked.input_size)
    if side > min(size):
        return
    left, top = across * (asked.width - side), down * (asked.height - side)
    whole = Box(0, 0, *size)
    boxes = [whole, *(box for sheet in asked.sheets for box in asked.boxes(sheet))]
    ratio = max(1.0, min(MAX_TILE_TO_OBJECT, asked.input_size / MIN_INPUT_PIXELS))
    shown = max(
        min(min(box.x2, left + side) - max(box.x1, left), min(box.y2, top + side) - max(box.y1, top))
        / min(side, max(box.x2 - box.x1, box.y2 - box.y1) / ratio)
        for box in boxes
    )
    # Tiles are placed at whole pixels of the scaled photo.
    assert shown >= 0.9 - 3 / side or longer < MIN_PHOTO_PIXELS


@examples(300)
@given(asked)
def test_where_there_is_room_the_smallest_object_is_known_when_seen(asked: Asked) -> None:
    if asked.is_bound or not asked.sheets or asked.input_size < MIN_INPUT_PIXELS:
        return
    [*_, finest] = asked.sheets
    tile = max(box.x2 - box.x1 for box in asked.boxes(finest))
    assert asked.object_side * asked.input_size / tile >= MIN_INPUT_PIXELS * 0.97


@examples(100)
@given(asked)
def test_a_turned_photo_has_the_same_tiles_turned(asked: Asked) -> None:
    turned = Asked(asked.height, asked.width, asked.smallest, asked.most, asked.input_size)
    if asked.is_bound:
        # Which of two equally even grids is taken depends on the direction that is horizontal.
        assert len(asked.sheets) == len(turned.sheets)
        return
    for sheet, other in zip(asked.sheets, turned.sheets, strict=True):
        assert (sheet.columns, sheet.rows) == (other.rows, other.columns)
        columns, rows = spans(asked.boxes(sheet), down=False), spans(turned.boxes(other), down=True)
        assert list(chain(*columns)) == pytest.approx(list(chain(*rows)))
