"""Makes the way from the whole photo to a box that the network learns to take.

The paper (arXiv 2510.03701) chooses each crop so that the next box has a size in it that is usual for the detector, and
moves the aspect ratio gradually from the photo's to the target's. Its generator is not published; this is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sorce.mappings import Box

USUAL_SHARE = 0.05
"""The area of a box as a share of its image that is usual for a detector."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A history, in rows of x, y, width, height; the box to find next, None at the end; and the zoom value, 0..1."""

    history: tuple[tuple[int, int, int, int], ...]
    target: Box | None
    zoom: float


def number_of_steps(box: Box, size: tuple[int, int], most: int) -> int:
    """The fewest steps so that each box has a usual share of the one before, at least 1 and at most `most`."""
    share = box.share_of(*size)
    return min(most, max(1, math.ceil(math.log(share) / math.log(USUAL_SHARE)))) if share < 1 else 1


def trajectory(box: Box, size: tuple[int, int], most: int, rng: np.random.Generator) -> list[Box]:
    """Boxes from the whole photo to the target. Each contains the target, at a random place."""
    width, height = size
    steps = number_of_steps(box, size, most)
    boxes = [Box(0, 0, width, height)]
    for number in range(1, steps):
        # Both sides shrink by the same factor in each step, so the aspect ratio moves evenly, too.
        wide = width * ((box.x2 - box.x1) / width) ** (number / steps)
        tall = height * ((box.y2 - box.y1) / height) ** (number / steps)
        last = boxes[-1]
        left = _place(rng, last.x1, last.x2, box.x1, box.x2, wide)
        top = _place(rng, last.y1, last.y2, box.y1, box.y2, tall)
        boxes.append(Box(left, top, left + wide, top + tall))
    return [*boxes, box]


def lesson(boxes: list[Box], number: int) -> Lesson:
    """What to do after `number` steps; after the last one, to stop.

    The box to find next has the next box's size, and the thing in its middle: where a trajectory has it at random, no
    network can tell.
    """
    rows = tuple((int(one.x1), int(one.y1), int(one.x2 - one.x1), int(one.y2 - one.y1)) for one in boxes[: number + 1])
    steps = len(boxes) - 1
    following = _around(boxes[-1], boxes[number + 1], boxes[number]) if number < steps else None
    return Lesson(rows, following, number / steps)


def _around(thing: Box, size: Box, outer: Box) -> Box:
    """A box of the size of `size`, in `outer`, with the thing as near to its middle as that allows."""
    wide, tall = size.x2 - size.x1, size.y2 - size.y1
    left = min(max(outer.x1, (thing.x1 + thing.x2 - wide) / 2), outer.x2 - wide)
    top = min(max(outer.y1, (thing.y1 + thing.y2 - tall) / 2), outer.y2 - tall)
    return Box(left, top, left + wide, top + tall)


def _place(rng: np.random.Generator, start: float, end: float, first: float, last: float, length: float) -> float:
    """Where a stretch of this length begins that lies in start..end and contains first..last."""
    least, most = max(start, last - length), min(first, end - length)
    return float(rng.uniform(least, most)) if least < most else float(min(max(least, start), first))
