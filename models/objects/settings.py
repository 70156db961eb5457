"""The user's settings of the regions method `objects`. Needs no model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sorce.errors import ModelError
from sorce.mappings.limits import MAX_NESTED
from sorce.models.checkpoint import COMMIT, FOLDER, HUB_NAME

AUTO = "auto"
GIVEN = "file"
"""The recipe's entry for boxes from a file. The file's name is left out: it says nothing about the vectors."""
USUAL_DETECTOR = "google/owlv2-base-patch16-ensemble"
VECTORS = ("crops", "owl")
MAX_REGIONS = 100
"""Most regions of a photo, the whole photo included."""
MIN_QUALITY = 0.0
"""Least quality of a box. The default is 0, since the quality of different detectors is not comparable."""
MARGIN = 0.15
"""Context around a box on each side, as a share of its longer side."""

WIDEST_MARGIN = 2.0


@dataclass(frozen=True, slots=True)
class ProposalLimits:
    """The most boxes of a photo, and the least quality of a box."""

    most: int
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class ObjectsSettings:
    """The user's settings.

    `detector` proposes the boxes (`auto`: the usual OWLv2, or with vectors=owl the model itself). `vectors` is `crops`
    (an encoder embeds crops with a `margin`) or `owl` (OWLv2's own class embeddings). `max_regions` includes the whole
    photo. Raises ModelError for an invalid value.
    """

    detector: str = AUTO
    vectors: str = "crops"
    max_regions: int = MAX_REGIONS
    margin: float = MARGIN
    min_quality: float = MIN_QUALITY

    def __post_init__(self) -> None:
        if self.vectors not in VECTORS:
            raise ModelError(f"vectors={self.vectors} is not known; choose crops or owl.")
        if not 1 <= self.max_regions <= MAX_NESTED:
            raise ModelError(
                f"max_regions={self.max_regions} is out of range; choose 1 to {MAX_NESTED}, such as {MAX_REGIONS}."
            )
        if not 0 <= self.margin <= WIDEST_MARGIN:
            raise ModelError(
                f"margin={self.margin} is not a share of a box's side; choose 0 to {WIDEST_MARGIN:g}, such as {MARGIN}."
            )
        if not 0 <= self.min_quality <= 1:
            raise ModelError(f"min_quality={self.min_quality} is out of range; choose 0 to 1, such as {MIN_QUALITY:g}.")
        if self.vectors == "owl" and self.detector != AUTO:
            raise ModelError(
                "with vectors=owl the boxes are the model's own; leave the detector out, or choose vectors=crops."
            )

    @property
    def proposer(self) -> str:
        """The proposer to open for vectors=crops."""
        return USUAL_DETECTOR if self.detector == AUTO else self.detector

    @property
    def limits(self) -> ProposalLimits:
        """Limits of the boxes, without the whole photo."""
        return ProposalLimits(self.max_regions - 1, self.min_quality)


def refuse_local_detector(name: str) -> None:
    """Raises ModelError if an index names a detector that may be a file of this machine, or has no commit."""
    if name in (AUTO, GIVEN):
        return
    plain, _, revision = name.rpartition("@")
    # A folder of which only the content is stored is asked for where the detector is opened.
    is_remote = plain == FOLDER or (HUB_NAME.fullmatch(plain) and COMMIT.fullmatch(revision))
    if not is_remote or Path(name).exists():
        raise ModelError(
            f"the index says that its detector is {name!r}, which is no name and commit of the hub; an index does not "
            "decide which local files are read, so name the detector with --parameter detector=NAME."
        )
