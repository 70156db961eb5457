"""The tiny PIZA of the golden sets: random weights in the released layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

PARTS = Path(__file__).parents[1] / "golden/piza-tiny"
GOLDEN = Path(__file__).parents[1] / "golden/piza-detector-tiny"


@contextmanager
def one_thread() -> Iterator[None]:
    """A tiny network is ten times faster without threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
