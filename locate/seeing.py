"""What a localiser sees of a photo for a whole search: one score, and an order of photos.

The client (`sorce search --locate`) and the service (`sorce serve --locate`) share it, so that both give the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sorce.mappings import Box, Localiser, Located, LocateRequest, Picture
from sorce.mappings.request import SearchRequest


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in a photo: an answer for each phrase, and their sum less half of each "not" as the score.

    A photo that could not be opened has no answers, and a reason.
    """

    score: float = 0.0
    located: Sequence[Located] = ()
    reason: str | None = None


def see(localiser: Localiser, picture: Picture, request: SearchRequest, boxes: Sequence[Box]) -> Seen:
    """Looks for each phrase, from the region where the index found it, and for each "not", in the whole photo."""
    requests = [LocateRequest(picture, *each) for each in zip(request.phrases, boxes, strict=True)]
    found = localiser.locate(requests + [LocateRequest(picture, text) for text in request.nots])
    split = len(request.phrases)
    score = sum(each.score for each in found[:split]) - sum(each.score for each in found[split:]) / 2
    return Seen(score, found[:split])


def best_first(seen: Sequence[Seen]) -> list[int]:
    """The places of the photos, best first. Those that were not opened come last, in the order given."""
    return sorted(range(len(seen)), key=lambda place: (seen[place].reason is not None, -seen[place].score))
