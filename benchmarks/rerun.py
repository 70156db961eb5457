"""Whether a second training of `mini`, done before as its model card says, gives a similar model."""

from __future__ import annotations

import os
from collections.abc import Iterator

from figures import Line, at_most, not_taken
from finds import DEFAULT, in_memory, scenes

from sorce.evaluate.metrics import recall_at
from training.mini.bank import SEEN
from training.scenes.collection import REPORTING

FOLDER = "SORCE_RERUN"
"""The environment variable that names the folder of the second checkpoint."""


def measures() -> Iterator[Line]:
    folder = os.environ.get(FOLDER)
    if not folder:
        yield not_taken("mini trained again: R@1", f"{FOLDER} names no checkpoint; see models/mini/README.md")
        return
    packaged, again = (
        recall_at(1, in_memory(checkpoint, DEFAULT, scenes(REPORTING, SEEN))) for checkpoint in ("mini", folder)
    )
    note = f"R@1 {again:.3f}; of the one in the package {packaged:.3f}; 300 scenes, {DEFAULT}"
    yield at_most("mini trained again: difference of R@1", abs(again - packaged), 0.03, note)
