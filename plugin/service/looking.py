"""Looks at photos of an index again, for the service: only files below its roots, and only photos that the index holds.

Where a photo is asked about, the index says whether it holds it, and in which region each phrase was found: one exact
comparison with all regions of these photos. There the localiser starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event

from opensearchpy import OpenSearch, exceptions

from sorce.cluster import address, reason, translate_errors, version
from sorce.errors import BadPhoto, QueryError
from sorce.locate.seeing import see
from sorce.mappings import Hit, Localiser, Match, Picture, Recipe, Seen, Vector
from sorce.mappings.answer import read_hits
from sorce.mappings.query import Json, Query, among, search_body
from sorce.mappings.ranking import ranking
from sorce.mappings.request import SearchRequest
from sorce.pictures.ahead import Opened, opened_ahead
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.uris import Root, content_below
from sorce.plugin.query.asking import ask

NOT_HELD = "is not in the index"
ABANDONED = "was not looked at, since nobody waits for the answer any more"


@dataclass(frozen=True, slots=True)
class AskedPhoto:
    """A photo to look at: its identity, and its URI, which must be the index's."""

    photo_id: str
    uri: str


@dataclass(frozen=True, slots=True)
class LookRequest:
    """What to look for, in which photos. `clauses` limit the regions to start from, as in the search.

    Of each phrase at most `request.boxes` instances are kept, those after the first of at least `min_score`.
    """

    photos: Sequence[AskedPhoto]
    request: SearchRequest
    clauses: Sequence[Json] = ()
    min_score: float = 0.0


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What was seen in a photo, and for each phrase the index's region where the localiser started."""

    seen: Seen
    regions: Sequence[Match] = ()


class PhotoLooker:
    """Looks at photos one after another, in one thread."""

    def __init__(
        self, client: OpenSearch, index: str, recipe: Recipe, localiser: Localiser, roots: Sequence[Root]
    ) -> None:
        self.localiser = localiser
        self._client, self._index, self._recipe, self._roots = client, index, recipe, roots
        self._decoders = DecoderPool(DecodeLimits())

    def close(self) -> None:
        self._decoders.close()

    def look(self, asked: LookRequest, vectors: Sequence[Vector], stop: Event) -> list[LookedAt]:
        """One answer for each photo, in order. `vectors` are those of the phrases.

        Ends early if `stop` is set. Raises ClusterError, QueryError, and what the localiser raises.
        """
        held = self._held(asked, vectors)
        places = [self._place(photo, held) for photo in asked.photos]
        hits = [place for place in places if isinstance(place, Hit)]

        def opens(hit: Hit) -> Picture:
            if stop.is_set():
                raise BadPhoto(ABANDONED)
            return self._decoders.picture(content_below(hit.uri, self._roots), hit.uri)

        with opened_ahead(hits, opens) as pictures:
            looked = (self._looked(hit, picture, asked, stop) for hit, picture in zip(hits, pictures, strict=True))
            return [next(looked) if isinstance(place, Hit) else _unseen(place) for place in places]

    def _place(self, photo: AskedPhoto, held: Mapping[str, Hit | str]) -> Hit | str:
        """The photo as the index holds it, or why it is not looked at."""
        hit = held.get(photo.photo_id, NOT_HELD)
        return NOT_HELD if isinstance(hit, Hit) and hit.uri != photo.uri else hit

    def _held(self, asked: LookRequest, vectors: Sequence[Vector]) -> Mapping[str, Hit | str]:
        """By photo_id: the photo as the index holds it, or why it cannot be shown."""
        # OpenSearch refuses the whole search for an empty id.
        ids = list(dict.fromkeys(photo.photo_id for photo in asked.photos if photo.photo_id))
        if not ids:
            return {}
        given = asked.request
        request = SearchRequest(
            given.phrases, size=len(ids), exact=True, fold=None, rank=given.rank, debias=given.debias
        )
        by = ranking(self._recipe, request.rank, request.debias)
        query = Query(request, vectors, (), asked.clauses, by, self._recipe.hash)
        with translate_errors(address(self._client)):
            body = among(search_body(query, version(self._client)), ids)
            try:
                hits = read_hits(ask(self._client, self._index, body, allow_partial=False), query)
            except exceptions.RequestError as error:
                if not asked.clauses:
                    raise
                raise QueryError(f"the cluster refuses this filter: {reason(error)}.") from error
        return {hit.photo_id: hit for hit in hits} | {each.photo_id: each.reason for each in hits.left_out}

    def _looked(self, hit: Hit, picture: Opened, asked: LookRequest, stop: Event) -> LookedAt:
        if stop.is_set():
            return _unseen(ABANDONED)
        if isinstance(picture, BadPhoto):
            return _unseen(str(picture))
        regions = [matches[0] for matches in hit.matches]
        boxes = [region.box for region in regions]
        return LookedAt(see(self.localiser, picture, asked.request, boxes, asked.min_score), regions)


def _unseen(reason: str) -> LookedAt:
    return LookedAt(Seen(reason=reason))
