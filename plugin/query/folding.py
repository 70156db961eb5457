"""Folds near-duplicates: a photo that looks like a better hit is shown under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sorce.mappings import Hit, Hits, Vector


def folded(hits: Hits, vectors: Mapping[str, Vector | None], cosine: float) -> Hits:
    """The hits, each near-duplicate under the best hit whose whole photo has at least this cosine with its own.

    `vectors` are those of the whole photos, by photo id. A photo without one stays by itself.
    """
    return folded_under((), hits, vectors, cosine)[0]


def folded_under(
    shown: Sequence[str], hits: Hits, vectors: Mapping[str, Vector | None], cosine: float
) -> tuple[Hits, dict[str, list[Hit]]]:
    """As `folded`, after photos that are shown already: these ids are better hits than all of these.

    The second result holds the near-duplicates of those photos, by their ids.
    """
    ids = [*shown, *(hit.photo_id for hit in hits)]
    owners = _owners([vectors.get(each) for each in ids], cosine, len(shown))
    under: dict[str, list[Hit]] = {}
    for hit, owner in zip(hits, owners[len(shown) :], strict=True):
        under.setdefault(ids[owner], []).append(hit)
    # A photo that stands by itself is the first one under its own id.
    by_themselves = [hit for hit in hits if under.get(hit.photo_id, [None])[0] is hit]
    found = [_above(hit, tuple(under.pop(hit.photo_id)[1:])) for hit in by_themselves]
    return replace(hits, found=tuple(found)), under


def _above(hit: Hit, duplicates: tuple[Hit, ...]) -> Hit:
    return hit if hit.duplicates == duplicates else replace(hit, duplicates=duplicates)


def _owners(vectors: Sequence[Vector | None], cosine: float, kept: int) -> list[int]:
    """For each photo the place of the one that it is folded under: its own if it stands by itself.

    The first `kept` do in any case. Compares each photo with those that stand by themselves: a chain of similar photos
    must not fold unlike ones together.
    """
    known = [vector for vector in vectors if vector is not None]
    better = np.empty((len(known), len(known[0]) if known else 0), np.float32)
    places, owners = list[int](), list[int]()
    for place, vector in enumerate(vectors):
        if vector is None:
            owners.append(place)
            continue
        if place >= kept and places:
            is_alike = better[: len(places)] @ vector >= cosine
            first = int(is_alike.argmax())
            if is_alike[first]:
                owners.append(places[first])
                continue
        better[len(places)] = vector
        places.append(place)
        owners.append(place)
    return owners
