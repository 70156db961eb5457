import numpy as np
import pytest
import torch

from tests.training.test_crops import disc
from training.mini import clip
from training.mini.bank import concepts
from training.mini.crops import Renderer
from training.mini.train import Learner, Plan, _load, _save, _step

PLAN = Plan(steps=40, decay=10, warmup=2, ramp=4, batch=8, processes=1, compiled=False)


@pytest.fixture(scope="module")
def some():
    return tuple(concept for concept in concepts() if "forest" in concept.themes)[:6]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """One layer, and one thread: threads wait for each other on a busy machine."""
    threads, layers = torch.get_num_threads(), clip.LAYERS
    torch.set_num_threads(1)
    clip.LAYERS = 1
    yield
    clip.LAYERS = layers
    torch.set_num_threads(threads)


def renderer(some):
    colours = np.random.default_rng(1).integers(0, 256, (len(some), 3))
    return Renderer(some, {c.name: (disc(c.name, "noto", rgb),) for c, rgb in zip(some, colours, strict=True)})


def learner(some):
    return Learner(PLAN, 0, len(some))


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(some, tmp_path):
    whole, pictures = learner(some), renderer(some)
    for step in range(2):
        _step(whole, pictures, step)
    _save(whole, tmp_path, 2, wall=5.0, cpu=4.0)
    resumed = learner(some)
    assert _load(resumed, tmp_path) == (2, 5.0, 4.0)
    # The renderer keeps its last backdrop. So both go on with a new one.
    for one in (whole, resumed):
        _step(one, renderer(some), 2)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


class Same:
    """A renderer that always gives the same tiles."""

    def __init__(self, tiles):
        self._tiles = tiles

    def tiles(self, *_):
        return self._tiles


def test_the_tower_learns(some):
    trained = learner(some)
    same = Same(renderer(some).tiles(PLAN.batch, 0.0, np.random.default_rng(1)))
    found = [_step(trained, same, step) for step in range(8)]
    assert found[-1]["row"] < 0.8 * found[0]["row"]
    assert found[-1]["pair"] < 0.8 * found[0]["pair"]


def test_the_rates_rise_stay_and_fall():
    assert [PLAN.pace(step) for step in (0, 1, 20, 30, 35, 39)] == [0.5, 1, 1, 1, 0.5, 0.1]
