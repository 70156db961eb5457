"""Opens a proposer of boxes by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sorce.errors import ModelError
from sorce.models.loading import pick_device
from sorce.models.objects.closed import ClosedSet
from sorce.models.objects.given import SUFFIX, GivenBoxes
from sorce.models.objects.loading import find_detector, is_owl
from sorce.models.objects.owl import Owl
from sorce.models.objects.proposals import Detected, Proposer
from sorce.models.objects.settings import GIVEN, ProposalLimits


def open_proposer(
    name: str, limits: ProposalLimits, device: str = "auto", trust_remote_code: bool = False
) -> Proposer[Any]:
    """A detector (a folder, a name on the hub, or `owner/name@commit`), or boxes from a file of JSON lines (`*.jsonl`).

    Raises ModelError if it is unavailable, or cannot find objects without a query.
    """
    if name == GIVEN:
        raise ModelError(
            "the boxes came from a file, whose place the index does not store; give that file as the detector."
        )
    if name.endswith(SUFFIX):
        return GivenBoxes(Path(name), limits)
    checkpoint = replace(find_detector(name), trust_remote_code=trust_remote_code)
    family = Owl if is_owl(checkpoint) else ClosedSet
    return Detected(family(checkpoint, pick_device(device)), limits)
