"""Hubness: how similar a region is to texts in general (Querybank Normalisation, arXiv 2112.12777).

Some regions are similar to every text and so appear in every result. For a region r and a bank of texts t,

    hubness = T * ln(mean over t of exp(cos(r, t) / T))

is a soft maximum of its cosines with the bank: their mean for a large temperature T, their maximum for a small one.
The cosine minus the hubness is T times the logarithm of the paper's normalised similarity. Subtracting the mean text
vector from the query would subtract the mean of the cosines. The hubness is stored with the region, and weighted in a
search that requests it (`sorce.mappings.ranking`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from sorce.mappings import Recipe, Region, Vector
from sorce.models.model import TextEncoder

FOLDER = Path(__file__).parent
NEWEST = "querybank.txt"
"""The bank of new indices: plain names of things, one per line.

An index keeps the bank that it was made with. So before changing these texts, copy the file to `querybank-N.txt` with
the next number N: old indices then still use the old texts.
"""

TEMPERATURE = 0.05


@cache
def texts(name: str = NEWEST) -> tuple[str, ...]:
    return tuple((FOLDER / name).read_text(encoding="utf-8").splitlines())


def digest(of: Sequence[str]) -> str:
    return f"sha256:{hashlib.sha256(chr(10).join(of).encode()).hexdigest()}"


def banked(recipe: Recipe) -> Recipe:
    """The recipe of a new index, with the newest bank."""
    return replace(recipe, bank={"texts": digest(texts()), "temperature": TEMPERATURE})


class Querybank:
    """A bank in an encoder's space. Its texts are encoded when the first region arrives."""

    def __init__(self, encoder: TextEncoder, of: Sequence[str] | None = None, temperature: float = TEMPERATURE) -> None:
        """`of` are the bank's texts; default: those of the newest bank."""
        self._encoder = encoder
        self._texts = texts() if of is None else of
        self._temperature = temperature

    def measured(self, regions: Sequence[Region]) -> list[Region]:
        """The regions, each with its hubness."""
        numbers = hubness(np.stack([region.vec for region in regions]), self._vectors, self._temperature)
        return [replace(region, hubness=float(number)) for region, number in zip(regions, numbers, strict=True)]

    @cached_property
    def _vectors(self) -> Vector:
        return self._encoder.embed_texts(self._texts)


def querybank(encoder: TextEncoder, index: Recipe | None) -> Querybank | None:
    """The bank for new regions of an index with this recipe: its own, or the newest if there is no index yet.

    None if the index was made without hubness, or with a bank that this sorce does not have (`note_on_bank`).
    """
    if index is None:
        return Querybank(encoder)
    found = _texts_of(index)
    return None if found is None else Querybank(encoder, found, float(index.bank["temperature"] or TEMPERATURE))


def note_on_bank(index: Recipe) -> str | None:
    """A sentence for users if new regions cannot get a hubness like the index's other regions; else None."""
    if not index.bank or _texts_of(index) is not None:
        return None
    return (
        "the hubness of this index was measured with texts that this sorce does not have, so new photos get none, and "
        "a search with --debias ranks them too low; use the sorce that made the index, or make a new index."
    )


def _texts_of(index: Recipe) -> Sequence[str] | None:
    """The texts of the index's bank; None if this sorce does not have them."""
    wanted = index.bank.get("texts")
    if wanted == digest(texts()):
        return texts()
    earlier = (texts(file.name) for file in sorted(FOLDER.glob("querybank-*.txt")))
    return next((each for each in earlier if digest(each) == wanted), None)


def hubness(regions: Vector, bank: Vector, temperature: float) -> Vector:
    """Hubness of regions (n, dimension) with a bank (texts, dimension), all unit vectors: float32 (n,), -1..1."""
    heights = regions @ bank.T / temperature
    top = heights.max(axis=1, keepdims=True)
    found: Vector = temperature * (top[:, 0] + np.log(np.exp(heights - top).mean(axis=1)))
    return found.clip(-1, 1).astype(np.float32)
