"""Folds near-duplicates: a photo that looks like a better hit is shown under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sorce.mappings import Hit, Hits, Vector
from sorce.mappings.regions import WHOLE, by_photo_ids, read_vectors, vectors_body
from sorce.plugin.query.examples import Ask


def folded(hits: Hits, cosine: float, ask: Ask) -> Hits:
    """The hits, each near-duplicate under the best hit whose whole photo has at least this cosine with its own.

    One more request reads the vectors of the whole photos. A photo whose vector is missing stays by itself.
    """
    if len(hits) < 2:
        return hits
    ids = [hit.photo_id for hit in hits]
    vectors = read_vectors(ask(vectors_body(by_photo_ids(ids), WHOLE, len(ids))))
    return replace(hits, found=tuple(_folded(hits, [vectors.get(each) for each in ids], cosine)))


def _folded(hits: Sequence[Hit], vectors: Sequence[Vector | None], cosine: float) -> list[Hit]:
    """Compares each photo with those shown only: a chain of similar photos must not fold unlike ones together."""
    shown: list[tuple[Hit, Vector | None, list[Hit]]] = []
    for hit, vector in zip(hits, vectors, strict=True):
        for _, better, under in shown:
            if vector is not None and better is not None and float(vector @ better) >= cosine:
                under.append(hit)
                break
        else:
            shown.append((hit, vector, []))
    return [replace(hit, duplicates=tuple(under)) for hit, _, under in shown]
