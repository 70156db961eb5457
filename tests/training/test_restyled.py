import numpy as np
import pytest

from training.mini.colours import COLOURS, SHADES
from training.mini.restyled import coloured, flat, inked, other_hue, outlined, restyled


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.fixture
def drawing():
    """A shaded disc of 96 px with a bright bar in it, and soft edges; premultiplied alpha."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    alpha = np.clip((0.9 - np.hypot(x, y)) * 40, 0, 1)
    colour = np.stack([120 + 80 * x, 60 + 40 * y, np.full_like(x, 90)], 2)
    colour[40:56, 30:66] = 240
    return np.dstack([colour * alpha[..., None], 255 * alpha]).astype(np.uint8)


@pytest.mark.parametrize("style", [outlined, flat, inked, other_hue])
def test_a_style_changes_the_colours_but_not_the_shape(style, drawing, rng):
    found = style(drawing, rng)
    assert not np.array_equal(found[..., :3], drawing[..., :3])
    assert np.array_equal(found[..., 3], drawing[..., 3])
    assert (found[..., :3].max(2) <= found[..., 3]).all()


def test_the_same_random_numbers_give_the_same_drawing(drawing):
    one, other = (restyled(drawing, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert one[1] == other[1]


def test_an_outline_is_dark_and_lies_on_the_border(drawing, rng):
    row = outlined(drawing, rng)[48].astype(int)
    solid = np.flatnonzero(row[:, 3] > 127)
    assert row[solid[0], :3].max() < 111
    assert row[20, :3].tolist() == drawing[48, 20, :3].tolist()


def test_flat_has_few_colours(drawing):
    inside = drawing[..., 3] == 255
    rng = np.random.default_rng(6)
    fewer = [len(np.unique(flat(drawing, rng)[inside][:, :3], axis=0)) for _ in range(5)]
    assert max(fewer) < len(np.unique(drawing[inside][:, :3], axis=0)) / 2


def test_a_drawing_of_strokes_is_filled_with_a_known_colour(drawing, rng):
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    ring = drawing * (np.hypot(x, y) > 0.7)[..., None].astype(np.uint8)
    found, colour = coloured(ring, rng)
    middle = SHADES[COLOURS[colour]][1]
    assert found[48, 48, 3] == 255
    assert np.abs(found[48, 48, :3].astype(int) - middle).max() <= 15
    assert found[0, 0].tolist() == [0, 0, 0, 0]


def test_a_silhouette_has_the_colour_itself(drawing, rng):
    found, colour = coloured(drawing, rng)
    assert np.abs(found[20, 48, :3].astype(int) - SHADES[COLOURS[colour]][1]).max() <= 15
