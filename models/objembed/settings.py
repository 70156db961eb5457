"""The user's settings of the regions method `objembed`. Needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sorce.errors import ModelError
from sorce.models.objects.settings import AUTO, MIN_QUALITY, USUAL_DETECTOR, ProposalLimits

MAX_BOXES = 100
"""ObjEmbed is published with at most 100 boxes of a photo. Each box changes the vectors of all later boxes."""
MAX_REGIONS = 1 + MAX_BOXES
"""Most regions of a photo, the whole photo included."""

INSTRUCTIONS: Mapping[str, str] = {
    "referring": "Locate the specific object being described by analyzing its unique instance-level attributes, "
    "its spatial position, and its relationship with surrounding objects. ",
    "detection": "Detect all objects in the image by identifying the common visual features of their respective "
    "classes. ",
}


@dataclass(frozen=True, slots=True)
class ObjEmbedSettings:
    """The user's settings.

    `detector` proposes the boxes (`auto`: the usual OWLv2; a detector, or a file of boxes). A detector's best boxes are
    kept, at most `max_regions` regions with the whole photo. `min_quality` limits the proposer's own quality, not the
    IoU that ObjEmbed predicts. `instruction` is `referring` (texts that describe one object; the published retrieval)
    or `detection` (class names). Raises ModelError for an invalid value.
    """

    detector: str = AUTO
    max_regions: int = MAX_REGIONS
    min_quality: float = MIN_QUALITY
    instruction: str = "referring"

    def __post_init__(self) -> None:
        if not 1 <= self.max_regions <= MAX_REGIONS:
            raise ModelError(
                f"max_regions={self.max_regions} is out of range; ObjEmbed takes 1 to {MAX_REGIONS}: "
                f"the whole photo and the {MAX_BOXES} boxes that it was published with."
            )
        if not 0 <= self.min_quality <= 1:
            raise ModelError(f"min_quality={self.min_quality} is out of range; choose 0 to 1, such as {MIN_QUALITY:g}.")
        if self.instruction not in INSTRUCTIONS:
            raise ModelError(f"instruction={self.instruction} is not known; choose {' or '.join(INSTRUCTIONS)}.")

    @property
    def proposer(self) -> str:
        """The proposer to open."""
        return USUAL_DETECTOR if self.detector == AUTO else self.detector

    @property
    def limits(self) -> ProposalLimits:
        """Limits of the boxes, without the whole photo."""
        return ProposalLimits(self.max_regions - 1, self.min_quality)
