"""What a user can choose of the regions method `objembed`, known without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sorce.errors import ModelError
from sorce.models.objects.settings import AUTO, LEAST, USUAL_DETECTOR, Limits

MOST_BOXES = 100
"""ObjEmbed is published with at most 100 boxes of a photo; each adds to what is read before the next one's vector."""
MOST = 1 + MOST_BOXES
"""Most regions of a photo, the whole photo included."""

INSTRUCTIONS: Mapping[str, str] = {
    "referring": "Locate the specific object being described by analyzing its unique instance-level attributes, "
    "its spatial position, and its relationship with surrounding objects. ",
    "detection": "Detect all objects in the image by identifying the common visual features of their respective "
    "classes. ",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user can choose.

    `detector` proposes the boxes (`auto`: the usual OWLv2; a detector, or a file of boxes). Of a detector's boxes the
    best are kept, at most `most` regions with the whole photo; `least` is the proposer's own quality, not the IoU that
    ObjEmbed predicts. `instruction` is `referring` (texts that describe one object; the published retrieval) or
    `detection` (names of classes). Raises ModelError where one of them makes no sense.
    """

    detector: str = AUTO
    most: int = MOST
    least: float = LEAST
    instruction: str = "referring"

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST:
            raise ModelError(
                f"most={self.most} regions of a photo make no sense; ObjEmbed takes 1 to {MOST}: "
                f"the whole photo and the {MOST_BOXES} boxes that it was published with."
            )
        if not 0 <= self.least <= 1:
            raise ModelError(f"least={self.least} is no quality; choose one of 0 to 1, such as {LEAST:g}.")
        if self.instruction not in INSTRUCTIONS:
            raise ModelError(f"there is no instruction '{self.instruction}'; choose {' or '.join(INSTRUCTIONS)}.")

    @property
    def proposer(self) -> str:
        """What to open."""
        return USUAL_DETECTOR if self.detector == AUTO else self.detector

    @property
    def limits(self) -> Limits:
        """Of the boxes: the whole photo is none of them."""
        return Limits(self.most - 1, self.least)
