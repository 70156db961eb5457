"""The second stage's values: what a localiser is asked, and what it answers.

A localiser looks at a photo again with the text in hand. Its box stands beside the index's box and never replaces it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sorce.mappings.values import Box, Picture


@dataclass(frozen=True, slots=True, eq=False)
class LocateRequest:
    """One photo to look at with a text. `box` is the region that the index found, if there is one."""

    picture: Picture
    text: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """A place in the photo that shows what the text says. `score` is 0..1."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Located:
    """Where a localiser sees what the text says.

    `box` is the final box in pixels of the upright photo. `score` is 0..1; it is calibrated only where the localiser
    says so. `steps` are the boxes that it looked at, from the first to the last. `instances` are all places that were
    asked for, best first; the first one has the final box and its score.
    """

    box: Box
    score: float
    steps: tuple[Box, ...]
    instances: tuple[Instance, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON; boxes are x1, y1, x2, y2. `count` is the number of instances."""
        return {
            "box": list(self.box.as_tuple()),
            "score": self.score,
            "steps": [list(step.as_tuple()) for step in self.steps],
            "count": len(self.instances),
            "instances": [{"box": list(each.box.as_tuple()), "score": each.score} for each in self.instances],
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """What a localiser saw in a photo: an answer for each phrase. `score` is their sum minus half of each "not".

    A photo that could not be opened has no answers, and a reason.
    """

    score: float = 0.0
    located: Sequence[Located] = ()
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON; `located` has an object for each phrase."""
        return {"score": self.score, "located": [each.as_dict() for each in self.located], "reason": self.reason}


class Localiser(Protocol):
    """Gives a tight box for a photo and a text."""

    @property
    def name(self) -> str:
        """What it is called in results: `zoom`, or the name of its weights."""
        ...

    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        """One answer for each request, in order; a batch gives the same as one at a time.

        `boxes` is the maximum number of instances, and `min_score` the minimum score of all but the first.
        """
        ...
