import torch
from torch.nn.functional import normalize

from training.mini.losses import Recent


def tiles(number, seed):
    generator = torch.Generator().manual_seed(seed)
    vectors = normalize(torch.randn(number, 4, generator=generator), dim=1).requires_grad_()
    return vectors, torch.rand(number, 3, generator=generator) > 0.5, torch.zeros(number, 3, dtype=torch.bool)


def test_the_last_tiles_are_kept_without_their_gradient():
    recent = Recent(3)
    old, now = tiles(2, 1), tiles(2, 2)
    assert all(torch.equal(*pair) for pair in zip(recent.joined(*old), old, strict=True))
    joined = recent.joined(*now)
    for part, new, past in zip(joined, now, old, strict=True):
        assert torch.equal(part, torch.cat([new, past]))
    joined[0].sum().backward()
    assert old[0].grad is None
    assert now[0].grad is not None
    assert [len(part) for part in recent.joined(*tiles(2, 3))] == [5, 5, 5]
