"""Measures of the localiser `piza`: agreement with the released code, array by array."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from figures import Line, at_most
from piza_golden import Parts, Whole

GOLDEN = Path(__file__).parents[1] / "tests/golden"
BARS = {"features and logits": 1e-4, "boxes and scores": 1e-5, "boxes in pixels": 5e-3, "whole numbers": 0.0}


def measures() -> Iterator[Line]:
    """The largest deviation in each kind of case, in float32 on the CPU."""
    worst: dict[tuple[str, str], float] = defaultdict(float)
    parts, detector = Parts(GOLDEN / "piza-tiny"), Whole(GOLDEN / "piza-detector-tiny")
    for golden in (parts, detector):
        for case in golden.cases:
            found, expected = golden.found(case), golden.of(case)
            for array in expected:
                key = (case.split("/")[0], kind(array, expected[array]))
                off = deviation(found[array], expected[array])
                # Written this way, a NaN is kept.
                worst[key] = off if not off <= worst[key] else worst[key]
    for (case, what), off in worst.items():
        yield at_most(f"piza: {case}: {what}", off, BARS[what])


def kind(array: str, expected: Any) -> str:
    """Which bar counts for an array."""
    if expected.dtype.kind in "biu":
        return "whole numbers"
    if re.search(r"top5_boxes|final_box", array):
        return "boxes in pixels"
    return "boxes and scores" if re.search(r"boxes|scores|probability", array) else "features and logits"


def deviation(found: Any, expected: Any) -> float:
    """The largest difference. Raises ValueError if the shapes differ."""
    if np.shape(found) != expected.shape:
        raise ValueError(f"shape {np.shape(found)}, not {expected.shape}")
    return float(np.abs(np.asarray(found, np.float64) - expected.astype(np.float64)).max(initial=0))


if __name__ == "__main__":
    for line in measures():
        sys.stdout.write(f"{line}\n")
