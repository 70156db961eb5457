from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from sorce.models.batches import CPU_BATCH, Batches


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, CPU_BATCH, CPU_BATCH + 1, 235])
def test_every_item_once_in_order_and_each_thread_as_much(
    threads: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    sizes: list[int] = []

    def work(items: Sequence[int]) -> Tensor:
        sizes.append(len(items))
        return torch.tensor(items)

    found = Batches(torch.device("cpu"), 64).run(work, range(count))
    assert [int(item) for batch in found for item in batch] == list(range(count))
    assert max(sizes, default=0) <= CPU_BATCH
    if threads > 1 and count > CPU_BATCH:
        assert len(sizes) <= threads * (count // (CPU_BATCH * threads) + 1)
        assert max(sizes) - min(sizes) <= len(sizes)
