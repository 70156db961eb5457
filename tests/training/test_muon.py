from copy import deepcopy

import torch
from torch import nn

from training.mini.muon import StackedMuon, orthogonal

SHAPES = ((8, 8), (8, 8), (32, 8), (8, 32))


def matrices():
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def after_steps(optimizer, parameters, steps):
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def test_stacked_steps_are_those_of_torch():
    ours, theirs = matrices(), matrices()
    found = after_steps(StackedMuon(ours, lr=0.02, weight_decay=0.05), ours, 3)
    expected = after_steps(torch.optim.Muon(theirs, lr=0.02, weight_decay=0.05), theirs, 3)
    moved = [(new - old.detach()).norm() for new, old in zip(expected, matrices(), strict=True)]
    for one, other, distance in zip(found, expected, moved, strict=True):
        # Both compute in bfloat16, in another order of additions.
        assert (one - other).norm() < 0.03 * distance


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped():
    first, second = matrices(), matrices()
    whole = StackedMuon(first, lr=0.02, weight_decay=0.05)
    after_steps(whole, first, 2)
    resumed = StackedMuon(second, lr=0.02, weight_decay=0.05)
    resumed.load_state_dict(deepcopy(whole.state_dict()))
    with torch.no_grad():
        for mine, other in zip(second, first, strict=True):
            mine.copy_(other)
    for one, other in zip(after_steps(whole, first, 2), after_steps(resumed, second, 2), strict=True):
        assert torch.equal(one, other)


def test_rows_become_nearly_orthogonal():
    found = orthogonal(torch.randn(3, 8, 32, generator=torch.Generator().manual_seed(3))).float()
    singular = torch.linalg.svdvals(found)
    assert singular.min() > 0.5
    assert singular.max() < 1.5
