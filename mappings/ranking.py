"""What ranks a region: its similarity, optionally minus its hubness, or the product of similarity and quality.

    similarity   cos - debias * hubness          (hubness: Querybank Normalisation, arXiv 2112.12777)
    product      sigmoid(scale * cos + bias) * quality if the checkpoint was trained with a scale and a bias
                 (ObjEmbed, arXiv 2602.01753), else cos * quality

For each phrase the best of the photo's regions counts. A photo's score is the sum over the phrases, minus half of the
score of each "not"; with product, a "not" below 0 counts as 0. The number shown as similarity is always the cosine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Any

from sorce.errors import QueryError
from sorce.mappings.recipe import Recipe

Json = dict[str, Any]

SIMILARITY, PRODUCT = RANKS = ("similarity", "product")
MAX_DEBIAS = 2

# OpenSearch accepts no score below 0. A region below the minimum similarity gets a score of 0, which drops it. After
# adding `base`, no score is below LEAST. A sigmoid is never below 0; without an offset it keeps all digits of float32.
# `most` is an upper bound of all values.
LEAST = 1e-30
ABOVE_MINIMUM = 1e-35
NO_MINIMUM = -2

# knn_score computes natively, four times faster than Painless. But it maps cos to 1 + cos, and a negative cos to
# 1 / (1 - cos). Sums of these would not be sums of cosines, so Painless inverts the mapping. A vector that is missing
# or not of unit length, or a missing number, must not make the whole search fail.
_COSINE = "double cos = Math.max(-1, Math.min(2, _score >= 1 ? _score - 1 : 1 - 1 / _score)); "
_QUALITY = "(doc['regions.quality'].size() == 0 ? 0 : doc['regions.quality'].value)"
_HUBNESS = "(doc['regions.hubness'].size() == 0 ? 1 : doc['regions.hubness'].value)"
_MOST = "1 / (1 + Math.exp(-params.scale - params.bias))"
_SIGMOID = f"value = {_QUALITY} / (1 + Math.exp(-params.scale * cos - params.bias)); base = 0; most = {_MOST}; "
_TIMES = f"value = {_QUALITY} * cos; "
_REFUSAL = "throw new IllegalArgumentException('sorce: {}'); "
_OTHER = _REFUSAL.format("rank must be similarity or product")
_WITH_DEBIAS = f"if (params.debias != 0) {{ {_REFUSAL.format('rank by product takes no debias')}}} "
_DEBIASED = f"if (params.debias != 0) {{ value = cos - params.debias * {_HUBNESS}; }} "

NO_QUALITY = "the boxes of this index have no quality to rank by; rank by similarity, or make an index of objects"
NO_HUBNESS = "this index was made without hubness; leave debias out, or bring its photos into a new index"


@dataclass(frozen=True)
class Ranking:
    """How the ranking value is computed from a cosine. In the stored template `rank` and `debias` are placeholders.

    `matching` is that of the recipe. If `has_quality` is false, the script refuses to rank by product.
    """

    rank: str = SIMILARITY
    debias: float | str = 0.0
    matching: Mapping[str, float] = field(default_factory=dict)
    has_quality: bool = True

    @property
    def is_plain(self) -> bool:
        """Ranks by the cosine alone."""
        return self.rank == SIMILARITY and self.debias == 0

    @property
    def params(self) -> Json:
        """Parameters of both scripts; the script of phrases also needs `min_similarity`."""
        return {"rank": self.rank, "debias": self.debias, **self.matching}

    @property
    def script(self) -> str:
        """Painless: a region's score for a phrase, from its knn_score; 0 if it is below min_similarity."""
        return f"{self._value}return cos < params.min_similarity ? 0 : Math.max({LEAST}, value + base);"

    @property
    def script_of_not(self) -> str:
        """Painless: the score falls as a region matches a "not" better."""
        return f"{self._value}return Math.max(0, most - (params.rank == 'product' ? Math.max(0, value) : value)) / 2;"

    @property
    def _value(self) -> str:
        product = _WITH_DEBIAS + (_SIGMOID if self.matching else _TIMES)
        return (
            f"{_COSINE}double value = cos; double most = 1 + params.debias; double base = most; "
            f"if (params.rank == 'product') {{ {product if self.has_quality else _REFUSAL.format(NO_QUALITY)}}} "
            f"else if (params.rank == 'similarity') {{ {_DEBIASED}}} else {{ {_OTHER}}} "
        )

    def base(self, phrases: int, nots: int) -> float:
        """The constant that the scripts add to a photo's score, for this many phrases and "not"."""
        if self.rank == PRODUCT and self.matching:
            return nots * self.bound(1) / 2
        return (phrases + nots / 2) * (1 + float(self.debias))

    def bound(self, cosine: float) -> float:
        """The highest score by product of a region with at most this cosine, since no quality is above 1."""
        if self.matching:
            return 1 / (1 + exp(-self.matching["scale"] * cosine - self.matching["bias"]))
        return max(0.0, cosine)


PLAIN = Ranking()


def ranking(recipe: Recipe, rank: str, debias: float) -> Ranking:
    """The ranking for an index of that recipe. Raises QueryError if the index lacks the numbers for it."""
    if rank == PRODUCT and debias:
        raise QueryError("rank by product takes no debias; leave one of them out.")
    if rank == PRODUCT and not recipe.has_quality:
        raise QueryError(f"{NO_QUALITY}.")
    if debias and not recipe.bank:
        raise QueryError(f"{NO_HUBNESS}.")
    return Ranking(rank, debias, recipe.matching)
