"""The answer to a search by the page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sorce.errors import QueryError
from sorce.mappings import Hit, Hits, Localiser
from sorce.mappings.example import Example, LikePicture, LikeRegion
from sorce.mappings.query import Json
from sorce.mappings.request import SearchRequest
from sorce.models.notes import note_of
from sorce.plugin.query.folding import folded_under
from sorce.plugin.query.labels import with_duplicates
from sorce.plugin.query.locating import SecondStage, look_again, with_enough
from sorce.plugin.query.search import ClientSearch
from sorce.plugin.service.page.bodies import LikeBody, SearchBody
from sorce.plugin.service.page.details import Details, details_body, read_details
from sorce.plugin.service.page.folders import Folders
from sorce.plugin.service.page.photos import PhotoPlace, PhotoPlaces
from sorce.plugin.service.page.pictures import PhotoPictures
from sorce.plugin.service.page.settings import PageSettings
from sorce.plugin.service.page.uploads import Uploads
from sorce.plugin.service.page.users import ClusterUser
from sorce.plugin.service.page.wholes import WholeVectors


@dataclass(frozen=True)
class PageSearch:
    """Searches for the page. `localisers` are by the name of the index; none if the service does not look again."""

    settings: PageSettings
    folders: Folders
    places: PhotoPlaces
    pictures: PhotoPictures
    uploads: Uploads
    wholes: WholeVectors
    localisers: Mapping[str, Localiser]

    def answer(self, user: ClusterUser, body: SearchBody) -> Json:
        """Raises Refused, and what a search raises."""
        searcher, started = user.searcher(body.index), time.perf_counter()
        request = self.request(user, body)
        encoding = time.perf_counter()
        if request.texts:
            # The search below finds the vectors in the encoder's memory.
            searcher.encoder().embed_texts(request.texts)
        encoded = time.perf_counter()
        hits, folded = self._folded(user, searcher, request, body)
        nearest = self._nearest(searcher, request) if not hits else None
        took = 1000 * (time.perf_counter() - started)
        index = searcher.found.asked
        counts = user.counts(index)
        under = [hit for each in folded.values() for hit in each]
        shown = iter(self.shown(user, index, [*hits, *under, *([] if nearest is None else [nearest])]))
        full = len(with_duplicates(hits)) + len(under) + len(hits.left_out) >= request.size
        return {
            "index": index,
            "took_ms": round(took, 1),
            "encode_ms": round(1000 * (encoded - encoding), 1),
            "photos": counts.photos,
            "regions": counts.regions,
            "labels": request.labels,
            "hits": [next(shown) for _ in hits],
            "folded": {photo_id: [next(shown) for _ in each] for photo_id, each in folded.items()},
            "more": full,
            "notes": [self.folders.sentence(each) for each in self._notes(hits, searcher)],
            "left_out": [{"photo_id": each.photo_id, "reason": each.reason} for each in hits.left_out],
            "partial": hits.incomplete is not None,
            "nearest": next(shown, None),
        }

    def request(self, user: ClusterUser, body: SearchBody) -> SearchRequest:
        """Raises Refused, QueryError."""
        index = user.found(body.index)

        def folder(shown: str) -> str:
            # Relative folders are in the index as they are shown.
            candidates = [shown] if index.root is not None else self.folders.stored(shown)
            return candidates[0] if len(candidates) == 1 else _there(user, index.asked, candidates)

        return body.request(lambda like: self._example(user, body.index, like), folder)

    def _folded(
        self, user: ClusterUser, searcher: ClientSearch, request: SearchRequest, body: SearchBody
    ) -> tuple[Hits, dict[str, list[Hit]]]:
        """The hits, and the near-duplicates of photos that are shown already, by the ids of these."""
        if request.fold is None or not body.shown:
            return self.hits(searcher, request, body), {}
        hits = self.hits(searcher, replace(request, fold=None), body)
        ids = [*body.shown, *(hit.photo_id for hit in hits)]
        return folded_under(body.shown, hits, self.wholes.of(user, searcher.found, ids), request.fold)

    def hits(self, searcher: ClientSearch, request: SearchRequest, body: SearchBody) -> Hits:
        """Raises Refused, and what a search raises."""
        if body.photo_ids is not None:
            return searcher.compare(request, body.photo_ids)
        if not body.locate:
            return searcher.search(request)
        stage = self.second_stage(searcher, body.locate)
        return look_again(searcher.search(with_enough(request, body.locate)), request, stage)

    def second_stage(self, searcher: ClientSearch, most: int) -> SecondStage:
        """Raises QueryError if this service does not look at photos again."""
        localiser = self.localisers.get(searcher.found.asked)
        if localiser is None:
            raise QueryError("this service does not look at photos again; start it with --locate and --root.")
        return SecondStage(localiser, most, self.settings.roots)

    def shown(self, user: ClusterUser, index: str, hits: Sequence[Hit]) -> list[Json]:
        """The hits as JSON, with their details. One search for all."""
        ids = [each.photo_id for each in with_duplicates(hits)]
        details = read_details(user.ask(index, details_body(ids))) if ids else {}
        for hit in with_duplicates(hits):
            self.places.remember(user, index, hit.photo_id, PhotoPlace(hit.uri, hit.width, hit.height))
        return [self._hit(index, hit, details) for hit in hits]

    def _hit(self, index: str, hit: Hit, details: dict[str, Details]) -> Json:
        said: dict[str, Any] = hit.as_dict()
        del said["duplicates"]
        if not self.settings.show_paths:
            del said["uri"]
        return {
            "index": index,
            **said,
            "folder": self.folders.shown(hit.folder),
            "region_id": hit.best.region_id,
            "box": list(hit.box.as_tuple()),
            "similarity": hit.similarity,
            **details.get(hit.photo_id, Details()).as_dict(),
            "same": [self._hit(index, each, details) for each in hit.duplicates],
        }

    def _nearest(self, searcher: ClientSearch, request: SearchRequest) -> Hit | None:
        """The best photo although it is less similar than was asked for."""
        if request.min_similarity is None or request.start:
            return None
        found = searcher.search(replace(request, min_similarity=None, size=1, fold=None))
        return found[0] if found else None

    def _notes(self, hits: Hits, searcher: ClientSearch) -> Iterator[str]:
        if hits.incomplete:
            yield f"incomplete: {hits.incomplete}; photos may be missing."
        yield from map(str, hits.left_out)
        yield from hits.notes
        if (note := note_of(searcher.found.recipe)) is not None:
            yield note
        for hit in hits:
            if hit.seen is not None and hit.seen.reason is not None:
                yield f"'{hit.file_name}' was not looked at again: it {hit.seen.reason}."

    def _example(self, user: ClusterUser, index: str | None, like: LikeBody) -> Example:
        if like.upload is not None:
            return self.uploads.example(like.upload, like.part)
        if like.photo_id is None or (like.box is None) == (like.region_id is None):
            raise QueryError("like: give a photo_id with a region_id or a box, or an upload.")
        if like.region_id is not None:
            return LikeRegion(like.photo_id, like.region_id)
        place = self.places.place(user, index, like.photo_id)
        return LikePicture(self.pictures.opened(place), like.part, "box")


def _there(user: ClusterUser, index: str, folders: Sequence[str]) -> str:
    """The first of these folders that has photos, also below it; else the first."""
    clauses: list[Json] = [
        {"bool": {"should": [{"term": {"folder": each}}, {"prefix": {"folder": f"{each}/"}}]}} for each in folders
    ]
    body = {"size": 0, "track_total_hits": False, "aggs": {"there": {"filters": {"filters": clauses}}}}
    counts = user.ask(index, body)["aggregations"]["there"]["buckets"]
    return next((each for each, found in zip(folders, counts, strict=True) if found["doc_count"]), folders[0])
