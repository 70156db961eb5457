"""How a benchmark searches: through an index in OpenSearch, as a user does, or exactly, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from opensearchpy import OpenSearch

from sorce.cluster import version
from sorce.errors import BadPhoto
from sorce.evaluate.ground_truth import Remarks
from sorce.evaluate.metrics import Scores
from sorce.ingest import Source, Watch
from sorce.mappings import Hit, Match, Region, Rejected, Vector
from sorce.mappings.answer import read_hits
from sorce.mappings.filters import Filter
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.query import Query, among, search_body
from sorce.mappings.request import SearchRequest
from sorce.models import Model, TextEncoder
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from sorce.plugin.query.asking import ask
from sorce.plugin.query.search import ClientSearch

BATCH = 1000
"""The number of photos that one request names."""

TOO_MANY = (
    f"texts with more photos to rank than the {MAX_CANDIDATES:,} of a search; right photos beyond count as not found"
)


class Retriever(Protocol):
    """Searches indexed pictures by text. `remarks` name the queries that could not be answered completely."""

    remarks: Remarks

    def rank(self, text: str, size: int, folder: str | None = None) -> list[Hit]:
        """The first `size` photos, best first. If a folder is given: only photos in it or below it."""
        ...

    def locate(self, text: str, photo_ids: Sequence[str]) -> list[Hit]:
        """These photos, each with its best box for the text, in any order. Photos that are not indexed are left out."""
        ...

    def similarities(self, text: str, photo_ids: Sequence[str]) -> Scores:
        """The similarity of each photo's best region, (photos,), and NaN for photos that are not indexed."""
        ...


class EncodedTexts(TextEncoder):
    """An encoder of texts that are known in advance. Each is encoded once, though a benchmark asks it several times."""

    def __init__(self, model: TextEncoder, texts: Iterable[str]) -> None:
        self.texts = list(dict.fromkeys([texts] if isinstance(texts, str) else texts))
        self.vectors = model.embed_texts(self.texts)
        self._rows = {text: row for row, text in enumerate(self.texts)}

    def row(self, text: str) -> int:
        """The row of the text in `texts` and `vectors`."""
        return self._rows[text]

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self.vectors[[self._rows[text] for text in listed(texts)]]


class OpenSearchRetriever:
    """Searches an index in OpenSearch. It ranks as a user's search does, with its defaults.

    `locate` and `similarities` compare all regions of the photos. If `index` is an alias, its filter applies.
    """

    def __init__(self, client: OpenSearch, index: str, encoded: EncodedTexts) -> None:
        self._client, self._index, self._encoded = client, index, encoded
        self._search = ClientSearch(client, index, lambda _: encoded)
        self._version = version(client)
        self.remarks = Remarks()

    def rank(self, text: str, size: int, folder: str | None = None) -> list[Hit]:
        if size > MAX_CANDIDATES:
            self.remarks.add(TOO_MANY, text)
        asked = SearchRequest([text], size=min(size, MAX_CANDIDATES), filter=Filter(folder=folder), fold=None)
        return list(self._search.search(asked))

    def locate(self, text: str, photo_ids: Sequence[str]) -> list[Hit]:
        [vector] = self._encoded.embed_texts([text])
        photo_ids = listed(photo_ids)
        found: list[Hit] = []
        for start in range(0, len(photo_ids), BATCH):
            some = photo_ids[start : start + BATCH]
            query = Query(SearchRequest([text], size=len(some), exact=True, fold=None), [vector])
            body = among(search_body(query, self._version), some)
            found += read_hits(ask(self._client, self._index, body, allow_partial=False), query)
        return found

    def similarities(self, text: str, photo_ids: Sequence[str]) -> Scores:
        found = {hit.photo_id: hit.similarity for hit in self.locate(text, photo_ids)}
        return np.array([found.get(photo_id, np.nan) for photo_id in listed(photo_ids)])


@dataclass(frozen=True, slots=True)
class ScoredPhoto:
    """A photo with its best region for each text.

    `width` and `height` are in pixels. `best` has one function per text, which makes the match from a similarity.
    """

    source: Source
    width: int
    height: int
    best: Sequence[Callable[[float], Match]]


class ExactRetriever:
    """Searches in memory, by the similarity of every photo's best region to every text: `scores`, (texts, photos)."""

    def __init__(self, encoded: EncodedTexts, photos: Sequence[ScoredPhoto], scores: NDArray[np.floating]) -> None:
        self._encoded, self._photos, self._scores = encoded, photos, scores
        self._columns = {seen.source.photo_id: column for column, seen in enumerate(photos)}
        self.remarks = Remarks()
        # With a type: numpy makes an empty list an array of floats, and all pictures may have been rejected.
        self._folders = np.array([f"{seen.source.folder}/" for seen in photos], dtype=np.str_)

    def rank(self, text: str, size: int, folder: str | None = None) -> list[Hit]:
        scores = self._scores[self._encoded.row(text)]
        below = np.char.startswith(self._folders, f"{folder}/" if folder else "").nonzero()[0]
        order = below[np.argsort(-scores[below], kind="stable")][:size]
        return [self._hit(text, int(column)) for column in order]

    def locate(self, text: str, photo_ids: Sequence[str]) -> list[Hit]:
        return [self._hit(text, self._columns[each]) for each in listed(photo_ids) if each in self._columns]

    def similarities(self, text: str, photo_ids: Sequence[str]) -> Scores:
        row = self._scores[self._encoded.row(text)]
        columns = [self._columns.get(photo_id) for photo_id in listed(photo_ids)]
        return np.array([np.nan if column is None else row[column] for column in columns])

    def _hit(self, text: str, column: int) -> Hit:
        seen, row = self._photos[column], self._encoded.row(text)
        source, score = seen.source, float(self._scores[row, column])
        return Hit(
            photo_id=source.photo_id,
            uri=source.uri,
            file_name=source.file_name,
            folder=source.folder,
            width=seen.width,
            height=seen.height,
            score=score,
            matches=((seen.best[row](score),),),
        )


def exact_retriever(
    model: Model[Any], encoded: EncodedTexts, sources: Iterable[Source], watch: Watch
) -> tuple[ExactRetriever, int]:
    """Compares every region of every photo with every text; also returns the number of regions. Keeps no vector."""
    photos, scores, regions = [], [], 0
    # Decoded in a separate process, as in ingest: this process knows the cluster's password.
    with closing(DecoderPool(DecodeLimits())) as decoders:
        for source in sources:
            try:
                picture = decoders.picture(source.read(), source.name)
                # Inside the try, as in ingest: a model also rejects photos, such as one that is too narrow for it.
                [found] = model.embed_photos([picture])
            except BadPhoto as error:
                watch.rejected(Rejected(source.name, str(error)))
                watch.done(1)
                continue
            cosines = encoded.vectors @ np.stack([region.vec for region in found]).T
            matches = _matches(found, picture.width, picture.height)
            photos.append(ScoredPhoto(source, *picture.size, [matches[each] for each in cosines.argmax(axis=1)]))
            scores.append(cosines.max(axis=1))
            regions += len(found)
            watch.done(1)
    if not scores:
        return empty_retriever(encoded), 0
    return ExactRetriever(encoded, photos, np.stack(scores, axis=1)), regions


def empty_retriever(encoded: EncodedTexts) -> ExactRetriever:
    """Finds nothing: all pictures were rejected."""
    return ExactRetriever(encoded, [], np.zeros((len(encoded.texts), 0)))


def _matches(regions: Sequence[Region], width: int, height: int) -> Mapping[int, Callable[[float], Match]]:
    return {
        number: partial(Match, number, region.box, region.kind, region.box.share_of(width, height), region.quality)
        for number, region in enumerate(regions)
    }


def listed(texts: Sequence[str]) -> Sequence[str]:
    """A single text or id becomes a list of one, not a list of its letters."""
    return [texts] if isinstance(texts, str) else texts
