"""How much two computations of a photo's vector may differ: the bounds for all tests are here.

In float32, a vector depends on its batch only by rounding. Where a CPU computes pictures in bfloat16, it depends on its
batch more: the greatest differences seen were 2.0e-3 per number, and a cosine of .9999 between the two vectors. From
float32 they differed by up to 4.7e-3. Texts are always in float32.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from sorce.models.bfloat16 import computes_bfloat16

FLOAT32 = 1e-5
"""Per number of a unit vector."""
BFLOAT16 = 5e-3
"""Per number of a unit vector, and also for its cosine with a text."""


def bound() -> float:
    """The greatest allowed difference of a number of a photo's vector, on this machine and in this run."""
    return BFLOAT16 if computes_bfloat16(torch.device("cpu")) else FLOAT32


def assert_close(found: ArrayLike, wanted: ArrayLike) -> None:
    """Asserts that vectors of photos, or their cosines with a text, are equal up to the number format's rounding."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=bound())


def are_close(found: ArrayLike, wanted: ArrayLike) -> bool:
    return bool(np.allclose(found, wanted, rtol=0, atol=bound()))
