"""What is learned from one crop: several phrases, those that the crop shows with their boxes, and others.

A detector of this kind is trained with a prompt of many phrases: each pass then tells it of several things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sorce.locate.piza.loading import DELIMITERS
from sorce.locate.piza.training.annotations import Expression
from sorce.mappings import Box

MOST = 12
"""Phrases of a prompt, at most."""
SHOWN = 0.5
"""A crop shows a thing if it has at least this share of its box."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """`ids` is (1, tokens). Each row of `tokens`, (boxes, tokens), says which tokens name a box of `boxes`."""

    ids: Tensor
    tokens: Tensor
    boxes: list[Box]


def chosen(
    asked: Expression, crop: Box, of_photo: Sequence[Expression], others: Sequence[Expression], rng: np.random.Generator
) -> list[tuple[str, Box | None]]:
    """A random number of texts in a random order, with the box of each that the crop shows. `asked` is among them.

    `of_photo` are the expressions of the crop's photo. Half of the places are for texts of `others` that the label file
    does not have for the photo. A few of these may be true of it: no file says what a photo does not show.
    """
    most = int(rng.integers(1, MOST + 1))
    texts: dict[str, Box | None] = {asked.text: asked.box}
    named = asked.shown.union(each.text for each in of_photo)
    for place in rng.permutation(len(of_photo)):
        each = of_photo[place]
        if len(texts) < (most + 1) // 2 and each.text not in texts and _share_in(each.box, crop) >= SHOWN:
            texts[each.text] = each.box
    for place in rng.integers(len(others), size=most):
        if len(texts) < most and (text := others[place].text) not in named:
            texts[text] = None
    several = list(texts.items())
    return [several[place] for place in rng.permutation(len(several))]


def prompt_of(phrases: Sequence[tuple[Tensor, Box | None]], longest: int) -> Prompt:
    """One prompt of phrases, each as (1, tokens) between its marks. Those beyond `longest` tokens are left out.

    A phrase with a box comes before those without one where not all have room.
    """
    first, last = phrases[0][0][:, :1], phrases[0][0][:, -1:]
    room, kept = longest - 2, list[int]()
    for place in sorted(range(len(phrases)), key=lambda place: phrases[place][1] is None):
        if (length := phrases[place][0].shape[1] - 2) <= room or not kept:
            kept.append(place)
            room -= length
    parts, spans, boxes, at = [first], list[tuple[int, int]](), list[Box](), 1
    for place in sorted(kept):
        ids, box = phrases[place]
        parts.append(ids[:, 1:-1])
        if box is not None:
            spans.append((at, at + ids.shape[1] - 2))
            boxes.append(box)
        at += ids.shape[1] - 2
    ids = torch.cat([*parts, last], 1)
    return Prompt(ids, torch.stack([_named(ids[0], *span) for span in spans]), boxes)


def _share_in(box: Box, crop: Box) -> float:
    across, down = min(box.x2, crop.x2) - max(box.x1, crop.x1), min(box.y2, crop.y2) - max(box.y1, crop.y1)
    return max(0.0, across) * max(0.0, down) / box.area


def _named(ids: Tensor, start: int, end: int) -> Tensor:
    """Which tokens are words of the phrase between two places; all of it, of a phrase of nothing but stops."""
    places = torch.arange(len(ids))
    inside = (places >= start) & (places < end)
    words = inside & ~torch.isin(ids, torch.tensor(list(DELIMITERS.values())))
    return words if words.any() else inside
