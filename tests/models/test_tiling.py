import numpy as np
import pytest

from sorce.mappings import Box
from sorce.models.tiling import MAX_REGIONS, MIN_OBJECT_SIZE, all_grids, fit, plan

SIZES = [
    (1, 1),
    (1, 700),
    (2, 30000),
    (30000, 2),
    (3, 5000),
    (97, 96),
    (100, 80),
    (640, 480),
    (1000, 1000),
    (1001, 1000),
    (1600, 1200),
    (4000, 1000),
    (12000, 8400),
]
LIMITS = [1, 2, 3, 4, 5, 10, 90, 250, 800]
INPUTS = [64, 96, 256]


def tiles(size, smallest=MIN_OBJECT_SIZE, most=MAX_REGIONS, input_size=96):
    return [box for sheet in plan(*size, smallest, most, input_size) for box in sheet.boxes(*size)]


def covers(boxes, size):
    """Whether every pixel's area is inside of a box: each box in units of a fine raster."""
    across, down = (np.linspace(0, length, 401) for length in size)
    missing = np.ones((400, 400), bool)
    for box in boxes:
        left, right = np.searchsorted(across, [box.x1 - 1e-6, box.x2 + 1e-6])
        top, bottom = np.searchsorted(down, [box.y1 - 1e-6, box.y2 + 1e-6])
        missing[max(0, top - 1) : bottom, max(0, left - 1) : right] = False
    return not missing.any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("input_size", INPUTS)
@pytest.mark.parametrize("smallest", [0.004, MIN_OBJECT_SIZE, 0.3, 1])
def test_tiles_lie_inside_reach_every_edge_and_keep_to_the_limit(size, input_size, smallest):
    for most in LIMITS:
        boxes = tiles(size, smallest, most, input_size)
        assert len(boxes) < most or not boxes
        assert len(set(boxes)) == len(boxes)
        assert Box(0, 0, *size) not in boxes
        for box in boxes:
            assert 0 <= box.x1 < box.x2 <= size[0]
            assert 0 <= box.y1 < box.y2 <= size[1]
        for sheet in plan(*size, smallest, most, input_size):
            scale = sheet.boxes(*size)
            assert min(box.x1 for box in scale) == min(box.y1 for box in scale) == 0
            assert (max(box.x2 for box in scale), max(box.y2 for box in scale)) == size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("most", LIMITS)
def test_each_scale_covers_the_photo(size, most):
    for sheet in plan(*size, MIN_OBJECT_SIZE, most, 96):
        assert covers(sheet.boxes(*size), size)


def test_the_finest_tiles_let_the_smallest_object_be_seen():
    # 40 px in a tile of 128 px that is shown at 96 px are 30 px.
    finest = tiles((1600, 1200))[-1]
    assert finest.x2 - finest.x1 == pytest.approx(128, rel=0.01)
    # An encoder with a larger input gets larger tiles, up to five times the object.
    finest = tiles((1600, 1200), input_size=512)[-1]
    assert finest.x2 - finest.x1 == pytest.approx(200, rel=0.01)


def test_a_larger_smallest_object_takes_fewer_tiles():
    counts = [len(tiles((1600, 1200), smallest, 10000)) for smallest in (0.01, 0.025, 0.05, 0.1, 0.2)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 5 * counts[2]


def test_neighbours_share_half_a_tile():
    grids = all_grids(1600, 1200, MIN_OBJECT_SIZE, 96)
    assert [(grid.side, len(grid)) for grid in grids] == [(128, 432), (256, 108), (512, 24), (1024, 6)]


def test_where_the_limit_binds_the_finest_scale_is_thinned_evenly():
    grids = fit(all_grids(1600, 1200, MIN_OBJECT_SIZE, 96), 1600, 1200, MAX_REGIONS - 1)
    assert [(grid.side, len(grid)) for grid in grids] == [(128, 204), (512, 24), (1024, 6)]
    lefts = sorted({box.x1 for box in tiles((1600, 1200))[-204:]})
    steps = np.diff(lefts)
    assert steps.max() - steps.min() < 2


def test_where_it_binds_harder_scales_above_the_finest_are_left_out_then_tiles_grow():
    grids = all_grids(1600, 1200, MIN_OBJECT_SIZE, 96)
    assert [grid.side for grid in fit(grids, 1600, 1200, 139)] == [128, 1024]
    assert [grid.side for grid in fit(grids, 1600, 1200, 89)] == [150]
    assert fit(grids, 1600, 1200, 1) == []


def test_a_photo_no_larger_than_a_tile_is_left_whole():
    assert tiles((75, 70)) == []
    assert tiles((1, 1)) == []
    assert tiles((2000, 1500), smallest=1) == []


def test_a_strip_is_cut_into_squares_of_its_short_side():
    boxes = tiles((2000, 100), smallest=0.1)
    assert {(box.y1, box.y2) for box in boxes} == {(0, 100)}
    assert {round(box.x2 - box.x1) for box in boxes} == {100}


def test_a_plan_takes_no_time_and_no_memory_however_large_the_photo():
    assert len(tiles((200_000, 150_000), 0.0001)) < MAX_REGIONS
