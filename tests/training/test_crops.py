import numpy as np
import pytest

from training.mini.bank import Sprite, concepts
from training.mini.crops import SLOTS, UNSURE, Renderer


def disc(concept, style, colour):
    """A disc of 128 px in one colour; straight alpha."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    rgba = np.zeros((128, 128, 4), np.uint8)
    rgba[...] = (*colour, 255)
    rgba[np.hypot(x, y) > 1] = 0
    return Sprite(concept, style, rgba)


@pytest.fixture(scope="module")
def some():
    return tuple(concept for concept in concepts() if "forest" in concept.themes)[:6]


@pytest.fixture(scope="module")
def renderer(some):
    return Renderer(some, {c.name: (disc(c.name, "noto", (215, 25, 30)), disc(c.name, "ph", (0, 0, 0))) for c in some})


def test_tiles_say_what_they_show(renderer, some):
    tiles = renderer.tiles(40, 0.0, np.random.default_rng(1))
    assert tiles.pixels.shape == (40, 96, 96, 3)
    assert tiles.concept.shape == (40, SLOTS)
    shown = tiles.concept >= 0
    assert set(tiles.concept[shown]) == set(range(len(some)))
    assert (tiles.area[shown] > 0).all()
    assert (tiles.area[~shown] == 0).all()
    assert (tiles.visible <= 1).all()
    assert (np.diff(tiles.area) <= 0).all()


def test_only_a_share_of_the_patches_is_used(renderer):
    tiles = renderer.tiles(40, 0.0, np.random.default_rng(1))
    assert 0.55 < (tiles.patch == UNSURE).mean() < 0.85
    on = tiles.patch >= 0
    assert (tiles.concept[np.nonzero(on)[0], tiles.patch[on]] >= 0).all()


def test_the_same_random_numbers_give_the_same_tiles(some):
    sprites = {c.name: (disc(c.name, "noto", (215, 25, 30)),) for c in some}
    one, other = (Renderer(some, sprites).tiles(16, 0.5, np.random.default_rng(2)) for _ in range(2))
    assert np.array_equal(one.pixels, other.pixels)


def place(renderer, number):
    rng = np.random.default_rng(number)
    canvas, owner = np.full((140, 140, 3), 250, np.uint8), np.full((140, 140), -1, np.int16)
    thing = renderer.place(canvas, owner, 7, 0, (70, 70, 90), rng)
    return canvas, owner, thing


def test_a_placed_thing_owns_its_pixels(renderer):
    canvas, owner, thing = place(renderer, 3)
    assert (owner == 7).sum() == thing.pixels
    assert owner[70, 70] == 7
    assert owner[0, 0] == -1
    assert (canvas[owner == 7] != 250).any()
