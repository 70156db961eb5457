"""The settings of `clusters`, and the number of patches of a photo. Needs no model."""

from __future__ import annotations

from dataclasses import dataclass

from sorce.errors import ModelError
from sorce.mappings.limits import MAX_NESTED
from sorce.models.tiling import MIN_OBJECT_SIZE, MIN_PHOTO_PIXELS

CLUSTERS = 128
AGGREGATIONS = ("ward", "kmeans", "grid")

# Patches along a side of the smallest object: at least one of them then lies completely inside it.
PATCHES_ACROSS = 2
# At most 40,000 patches; clustering them takes seconds.
FINEST = 0.01


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Settings of the regions method `clusters`; all are part of the recipe.

    `min_object_size` is the side of the smallest object to find, as a share of the photo's longer side. `clusters` is
    the most clusters of a photo, without the whole photo. `features` and `positions` are those of `dense.open_dense`.
    """

    min_object_size: float = MIN_OBJECT_SIZE
    clusters: int = CLUSTERS
    aggregation: str = "ward"
    features: str = "auto"
    positions: str = "size"

    def __post_init__(self) -> None:
        if not FINEST <= self.min_object_size <= 1:
            raise ModelError(
                f"min_object_size={self.min_object_size} divides a photo into too many patches or none; "
                f"choose a share of its longer side from {FINEST} to 1, such as {MIN_OBJECT_SIZE}."
            )
        if not 1 <= self.clusters < MAX_NESTED:
            raise ModelError(
                f"clusters={self.clusters} is out of range, since OpenSearch stores at most {MAX_NESTED} regions of a "
                f"photo and one is the whole photo; choose 1 to {MAX_NESTED - 1}, such as {CLUSTERS}."
            )
        if self.aggregation not in AGGREGATIONS:
            raise ModelError(f"there is no aggregation '{self.aggregation}'; choose one of {', '.join(AGGREGATIONS)}.")


def divide(width: int, height: int, smallest: float) -> tuple[int, int]:
    """Numbers of rows and columns of patches; the patches are as square as the photo allows."""
    # Smaller patches would only enlarge blur.
    side = max(MIN_PHOTO_PIXELS, smallest * max(width, height)) / PATCHES_ACROSS
    return max(1, round(height / side)), max(1, round(width / side))
