"""Hubness: how near a region lies to texts whatever they say (Querybank Normalisation, arXiv 2112.12777).

Some regions are near to any text and so come up in every answer. Of a region r and a bank of texts t,

    hubness = T * ln(mean over t of exp(cos(r, t) / T))

is a soft maximum of its cosines with the bank: their mean for a large temperature T, their greatest for a small one.
The cosine less the hubness is T times the logarithm of the paper's normalised similarity; the mean is what taking the
mean text vector from the query would subtract. The number is stored with the region, and weighted when it is asked for
(`sorce.mappings.ranking`).
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

FILE = Path(__file__).with_name("querybank.txt")
"""The bank: plain names of things, one a line. Another text makes another bank, and no index would go with it."""

TEMPERATURE = 0.05


@cache
def texts() -> tuple[str, ...]:
    return tuple(FILE.read_text(encoding="utf-8").splitlines())


def banked(recipe: Recipe) -> Recipe:
    """The recipe, with this bank in it."""
    digest = hashlib.sha256("\n".join(texts()).encode()).hexdigest()
    return replace(recipe, bank={"texts": f"sha256:{digest}", "temperature": TEMPERATURE})


class Querybank:
    """The bank in an encoder's space; its texts are encoded when the first region comes."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder

    def measured(self, regions: Sequence[Region]) -> list[Region]:
        """The regions, each with its hubness."""
        numbers = hubness(np.stack([region.vec for region in regions]), self._vectors, TEMPERATURE)
        return [replace(region, hubness=float(number)) for region, number in zip(regions, numbers, strict=True)]

    @cached_property
    def _vectors(self) -> Vector:
        return self._encoder.embed_texts(texts())


def hubness(regions: Vector, bank: Vector, temperature: float) -> Vector:
    """Of regions (n, dimension) with a bank (texts, dimension), all unit vectors: float32 (n,), -1..1."""
    heights = regions @ bank.T / temperature
    top = heights.max(axis=1, keepdims=True)
    found: Vector = temperature * (top[:, 0] + np.log(np.exp(heights - top).mean(axis=1)))
    return found.clip(-1, 1).astype(np.float32)
