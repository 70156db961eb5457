"""How a benchmark asks: of an index in OpenSearch as a user would, or of all regions exactly, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray
from opensearchpy import OpenSearch

from sorce.cluster import version
from sorce.errors import BadPhoto
from sorce.evaluate.ground_truth import Remarks
from sorce.evaluate.metrics import Scores
from sorce.ingest import Source, Watch
from sorce.mappings import Hit, Match, Region, Rejected, Vector
from sorce.mappings.answer import hits
from sorce.mappings.filters import Filter
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.query import Query, among, search_body
from sorce.models import Model, TextEncoder
from sorce.pictures.loading import open_picture
from sorce.plugin.query.search import ClientSearch, SearchRequest

AT_ONCE = 1000
"""Photos that one request names."""

CUT = f"texts with more photos to rank than a search takes ({MAX_CANDIDATES:,}), right ones beyond taken as not found"


class Ask(Protocol):
    """Pictures that are indexed, asked in words; `remarks` are about what could not be answered in full."""

    remarks: Remarks

    def ranked(self, text: str, size: int, folder: str | None = None) -> list[Hit]:
        """The first photos, best first; of this folder and below, if one is given."""
        ...

    def shown(self, text: str, photo_ids: Sequence[str]) -> list[Hit]:
        """These photos with the box that the text is shown in, in any order, less those that are not indexed."""
        ...

    def similarities(self, text: str, photo_ids: Sequence[str]) -> Scores:
        """The similarity of these photos' best regions; not a number for those that are not indexed."""
        ...


class Encoded(TextEncoder):
    """Texts that were encoded together: a benchmark asks the same ones in several ways."""

    def __init__(self, model: TextEncoder, texts: Iterable[str]) -> None:
        self.texts = list(dict.fromkeys(texts))
        self.vectors = model.embed_texts(self.texts)
        self._rows = {text: row for row, text in enumerate(self.texts)}

    def row(self, text: str) -> int:
        return self._rows[text]

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self.vectors[[self._rows[text] for text in texts]]


class InCluster:
    """By the search of a user, with its defaults; `shown` and `similarities` compare all regions of the photos."""

    def __init__(self, client: OpenSearch, index: str, encoded: Encoded) -> None:
        self._client, self._index, self._encoded = client, index, encoded
        self._search = ClientSearch(client, index, lambda _: encoded)
        self._version = version(client)
        self.remarks = Remarks()

    def ranked(self, text: str, size: int, folder: str | None = None) -> list[Hit]:
        if size > MAX_CANDIDATES:
            self.remarks.add(CUT, text)
        asked = SearchRequest([text], size=min(size, MAX_CANDIDATES), filter=Filter(folder=folder))
        return self._search.search(asked)

    def shown(self, text: str, photo_ids: Sequence[str]) -> list[Hit]:
        [vector] = self._encoded.embed_texts([text])
        found = []
        for start in range(0, len(photo_ids), AT_ONCE):
            some = photo_ids[start : start + AT_ONCE]
            body = among(search_body(Query([vector], size=len(some), exact=True), self._version), some)
            answer = self._client.search(index=self._index, body=orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
            found += hits(answer, 1, 0)
        return found

    def similarities(self, text: str, photo_ids: Sequence[str]) -> Scores:
        found = {hit.photo_id: hit.similarity for hit in self.shown(text, photo_ids)}
        return np.array([found.get(photo_id, np.nan) for photo_id in photo_ids])


@dataclass(frozen=True, slots=True)
class ScoredPhoto:
    """A photo of which each text's best region is known: `best` makes a match of it, given its similarity."""

    source: Source
    width: int
    height: int
    best: Sequence[Callable[[float], Match]]


class InMemory:
    """By the best region of every photo for every text, (texts, photos); no vector of a region is kept."""

    def __init__(self, encoded: Encoded, photos: Sequence[ScoredPhoto], scores: NDArray[np.floating]) -> None:
        self._encoded, self._photos, self._scores = encoded, photos, scores
        self._columns = {seen.source.photo_id: column for column, seen in enumerate(photos)}
        self.remarks = Remarks()
        # Said, as numpy takes an empty list for numbers: every picture may have been rejected.
        self._folders = np.array([f"{seen.source.folder}/" for seen in photos], dtype=np.str_)

    def ranked(self, text: str, size: int, folder: str | None = None) -> list[Hit]:
        scores = self._scores[self._encoded.row(text)]
        below = np.char.startswith(self._folders, f"{folder}/" if folder else "").nonzero()[0]
        order = below[np.argsort(-scores[below], kind="stable")][:size]
        return [self._hit(text, int(column)) for column in order]

    def shown(self, text: str, photo_ids: Sequence[str]) -> list[Hit]:
        return [self._hit(text, self._columns[each]) for each in photo_ids if each in self._columns]

    def similarities(self, text: str, photo_ids: Sequence[str]) -> Scores:
        row = self._scores[self._encoded.row(text)]
        columns = [self._columns.get(photo_id) for photo_id in photo_ids]
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


def in_memory(model: Model[Any], encoded: Encoded, sources: Iterable[Source], watch: Watch) -> tuple[InMemory, int]:
    """Every region of every photo compared with every text, and how many regions these were."""
    photos, scores, regions = [], [], 0
    for source in sources:
        try:
            picture = open_picture(Path(source.name))
            # Inside, as ingest has it: a model refuses photos, too, one that is too narrow for its network.
            [found] = model.embed_photos([picture])
        except BadPhoto as error:
            watch.rejected(Rejected(source.name, str(error)))
            watch.done(1)
            continue
        likeness = encoded.vectors @ np.stack([region.vec for region in found]).T
        matches = _matches(found, picture.width, picture.height)
        photos.append(ScoredPhoto(source, *picture.size, [matches[each] for each in likeness.argmax(axis=1)]))
        scores.append(likeness.max(axis=1))
        regions += len(found)
        watch.done(1)
    return InMemory(encoded, photos, np.stack(scores, axis=1) if scores else np.zeros((len(encoded.texts), 0))), regions


def _matches(regions: Sequence[Region], width: int, height: int) -> Mapping[int, Callable[[float], Match]]:
    return {
        number: partial(Match, number, region.box, region.kind, region.box.share_of(width, height), region.quality)
        for number, region in enumerate(regions)
    }
