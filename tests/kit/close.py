"""How near two computations of a photo's vector are: one place for the bounds of all tests.

In float32 a vector depends on its batch by rounding only. Where a CPU computes pictures in bfloat16 it depends on its
batch more: seen were 1.4e-3 per number, and a cosine of .99999 between the two. Texts are always float32.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from sorce.models.bfloat16 import computes_bfloat16

FLOAT32 = 1e-5
"""Per number of a unit vector."""
BFLOAT16 = 5e-3
"""Per number of a unit vector; also of its cosine with a text."""


def bound() -> float:
    """The most that a number of a photo's vector may differ on this machine, in this run."""
    return BFLOAT16 if computes_bfloat16(torch.device("cpu")) else FLOAT32


def assert_close(found: ArrayLike, wanted: ArrayLike) -> None:
    """That vectors of photos, or their cosines with a text, are the same but for the number format."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=bound())


def are_close(found: ArrayLike, wanted: ArrayLike) -> bool:
    return bool(np.allclose(found, wanted, rtol=0, atol=bound()))
