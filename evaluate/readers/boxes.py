"""Boxes of the ground truth: checked against their pictures, and collected by class."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sorce.evaluate.ground_truth import LabelledPicture, LabelledQuery, Remarks
from sorce.evaluate.readers.rows import BadRow
from sorce.mappings import Box
from sorce.mappings.labels import Corners, Size, cut, reaches_beyond, scale_to

EMPTY_BOX = "boxes without an area, left out"
OUTSIDE = "boxes outside of their picture, left out"
CUT = "boxes that reach beyond their picture, cut at its edge"
OTHER_SIZE = "pictures of another size than the label file says, their boxes scaled"
OTHER_SHAPE = "pictures of another shape than the label file says, their boxes left out"
ABSENT = "classes that no picture here shows, not asked for"


class Boxes:
    """Checks boxes. A box that cannot be used is left out, but its picture is still relevant to the class."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks
        self._other: set[str] = set()

    def within(
        self, picture: LabelledPicture, corners: Corners, place: str, stated: Size | None = None
    ) -> tuple[Box, ...]:
        """The box in pixels of the picture. There is none where the box cannot be used.

        `corners` are in pixels of the width and height that the label file states for the picture, if it states them.
        Raises BadRow.
        """
        scale = self._scale(picture, stated)
        if scale is None:
            return ()
        x1, y1, x2, y2 = (side * scale for side in corners)
        if not all(map(math.isfinite, (x1, y1, x2, y2))):
            raise BadRow("whose box is too large for a number")
        example = f"{picture.name} in {place}"
        if x1 >= x2 or y1 >= y2:
            self._remarks.add(EMPTY_BOX, example)
            return ()
        size = picture.size or (math.inf, math.inf)
        inside = cut((x1, y1, x2, y2), size)
        if inside is None:
            self._remarks.add(OUTSIDE, example)
            return ()
        if reaches_beyond((x1, y1, x2, y2), size):
            self._remarks.add(CUT, example)
        return (inside,)

    def _scale(self, picture: LabelledPicture, stated: Size | None) -> float | None:
        """The factor from the stated size to the picture's own; None where the shapes differ."""
        if stated is None or picture.size is None or stated == picture.size:
            return 1.0
        scale = scale_to(picture.size, stated)
        if picture.photo_id not in self._other:
            self._other.add(picture.photo_id)
            self._remarks.add(OTHER_SHAPE if scale is None else OTHER_SIZE, picture.name)
        return scale


def by_class(labels: Iterable[tuple[str, LabelledPicture, Sequence[Box]]]) -> list[LabelledQuery]:
    """A query for each class name, in alphabetical order, from the boxes of each class in each picture."""
    classes: dict[str, dict[str, tuple[Box, ...]]] = defaultdict(dict)
    for label, picture, boxes in labels:
        # LVIS writes aerosol_can. A name of underscores only stays as it is.
        shown = classes[label.replace("_", " ").strip() or label]
        shown[picture.photo_id] = (*shown.get(picture.photo_id, ()), *boxes)
    return [LabelledQuery(label, dict(classes[label])) for label in sorted(classes)]


def remark_absent(
    names: Iterable[str], labels: Iterable[tuple[str, LabelledPicture, Sequence[Box]]], remarks: Remarks
) -> None:
    """Adds remarks on the classes that no picture shows."""
    for name in sorted(set(names) - {label for label, _, _ in labels}):
        remarks.add(ABSENT, name)
