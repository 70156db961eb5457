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


def number_of_steps(box: Box, size: tuple[int, int], most: int, share: float = USUAL_SHARE) -> int:
    """The fewest steps so that each box has at least that share of the one before, at least 1 and at most `most`."""
    own = box.share_of(*size)
    return min(most, max(1, math.ceil(math.log(own) / math.log(share)))) if own < 1 else 1


def trajectory(
    box: Box, size: tuple[int, int], most: int, rng: np.random.Generator, share: float = USUAL_SHARE
) -> list[Box]:
    """Boxes from the whole photo to the target. Each contains the target, at a random place.

    Each but the first box after the photo has that share of the one before: the first step is the one of another size.
    """
    width, height = size
    wide, tall = box.x2 - box.x1, box.y2 - box.y1
    steps = number_of_steps(box, size, most, share)
    boxes = [Box(0, 0, width, height)]
    for number in range(1, steps):
        area = wide * tall / share ** (steps - number)
        # The aspect ratio moves evenly from the photo's to the target's.
        aspect = (width / height) ** (1 - number / steps) * (wide / tall) ** (number / steps)
        last = boxes[-1]
        across = min(max(wide, math.sqrt(area * aspect)), last.x2 - last.x1)
        down = min(max(tall, math.sqrt(area / aspect)), last.y2 - last.y1)
        left = _place(rng, last.x1, last.x2, box.x1, box.x2, across)
        top = _place(rng, last.y1, last.y2, box.y1, box.y2, down)
        boxes.append(Box(left, top, left + across, top + down))
    return [*boxes, box]


def any_crop(box: Box, size: tuple[int, int], rng: np.random.Generator) -> Box:
    """The whole photo in half of all cases, else a box of any size that contains the target, at a random place."""
    part = float(rng.uniform()) if rng.random() < 0.5 else 0.0
    wide, tall = (
        side * (own / side) ** part for side, own in zip(size, (box.x2 - box.x1, box.y2 - box.y1), strict=True)
    )
    left = _place(rng, 0, size[0], box.x1, box.x2, wide)
    top = _place(rng, 0, size[1], box.y1, box.y2, tall)
    return Box(left, top, left + wide, top + tall)


def lesson(boxes: list[Box], number: int) -> Lesson:
    """What to do after `number` steps; after the last one, to stop."""
    rows = tuple((int(one.x1), int(one.y1), int(one.x2 - one.x1), int(one.y2 - one.y1)) for one in boxes[: number + 1])
    steps = len(boxes) - 1
    following = next_box(boxes[-1], boxes, number) if number < steps else None
    return Lesson(rows, following, number / steps)


def next_box(thing: Box, boxes: list[Box], number: int) -> Box:
    """What to find of a thing after `number` steps of a trajectory, which may be another thing's.

    In the last step it is the thing. Before, it is a box of the next size, or the thing's if that is larger, with the
    thing in its middle, which may reach beyond the photo: where a trajectory has it at random, no network can tell.
    """
    if number == len(boxes) - 2:
        return thing
    x, y, size = (thing.x1 + thing.x2) / 2, (thing.y1 + thing.y2) / 2, boxes[number + 1]
    wide, tall = max(size.x2 - size.x1, thing.x2 - thing.x1), max(size.y2 - size.y1, thing.y2 - thing.y1)
    return Box(x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)


def _place(rng: np.random.Generator, start: float, end: float, first: float, last: float, length: float) -> float:
    """Where a stretch of this length begins that lies in start..end and contains first..last."""
    least, most = max(start, last - length), min(first, end - length)
    return float(rng.uniform(least, most)) if least < most else float(min(max(least, start), first))
