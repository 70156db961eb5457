"""What a localiser sees of a photo for a whole search: one score, and an order of photos.

The client (`sorce search --locate`) and the service (`sorce serve --locate`) share it, so that both give the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from sorce.mappings import Box, Localiser, LocateRequest, Picture, Seen
from sorce.mappings.request import SearchRequest


def see(
    localiser: Localiser, picture: Picture, request: SearchRequest, regions: Sequence[Box], min_score: float = 0.0
) -> Seen:
    """Looks for each phrase, from the region where the index found it, and for each "not", in the whole photo.

    Of each phrase at most `request.boxes` instances are kept, those after the first of at least `min_score`.
    """
    asked = [LocateRequest(picture, *each) for each in zip(request.phrases, regions, strict=True)]
    found = localiser.locate(asked, request.boxes, min_score)
    against = localiser.locate([LocateRequest(picture, text) for text in request.nots])
    return Seen(sum(each.score for each in found) - sum(each.score for each in against) / 2, found)


def best_first(seen: Sequence[Seen]) -> list[int]:
    """The places of the photos, best first. Those that were not opened come last, in the order given."""
    return sorted(range(len(seen)), key=lambda place: (seen[place].reason is not None, -seen[place].score))
