"""The second stage in a benchmark: each photo is looked at again, from the box that the index shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sorce.errors import BadPhoto
from sorce.evaluate.ground_truth import LabelledPicture, Remarks
from sorce.locate.seeing import see
from sorce.mappings import Box, Hit, Localiser, Picture, Seen
from sorce.mappings.request import SearchRequest
from sorce.pictures.sandbox import DecoderPool

NOT_OPENED = "photos that could not be opened again, which therefore have no box"


class SecondLook:
    """Opens photos in a separate process, as in a search. `remarks` gets the photos that cannot be opened."""

    def __init__(
        self,
        localiser: Localiser,
        pictures: Mapping[str, LabelledPicture],
        decoders: DecoderPool,
        remarks: Remarks,
    ) -> None:
        self._localiser, self._pictures, self._decoders, self._remarks = localiser, pictures, decoders, remarks
        # Many expressions ask for one photo, one after another.
        self._last: tuple[str, Picture] | None = None

    def look(self, text: str, hits: Sequence[Hit]) -> list[Hit]:
        """The hits, each with what the localiser saw."""
        return [replace(hit, seen=self._seen(text, hit)) for hit in hits]

    def _seen(self, text: str, hit: Hit) -> Seen:
        try:
            picture = self._picture(hit.photo_id)
        except BadPhoto as error:
            self._remarks.add(NOT_OPENED, f"{hit.uri}, which {error}")
            return Seen(reason=str(error))
        return see(self._localiser, picture, SearchRequest([text]), [hit.box])

    def _picture(self, photo_id: str) -> Picture:
        if self._last is None or self._last[0] != photo_id:
            source = self._pictures[photo_id].source
            self._last = photo_id, self._decoders.picture(source.read(), source.name)
        return self._last[1]


def located_box(hit: Hit) -> Box | None:
    """The localiser's box of a hit; None if it was not opened."""
    return hit.seen.located[0].box if hit.seen is not None and hit.seen.located else None
