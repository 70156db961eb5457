"""What ranks a region: its similarity, alone or less its hubness, or its product of similarity and quality.

    similarity   cos - debias * hubness          (hubness: Querybank Normalisation, arXiv 2112.12777)
    product      sigmoid(scale * cos + bias) * quality where the checkpoint was trained with a scale and a bias
                 (ObjEmbed, arXiv 2602.01753), else cos * quality

The best of a photo's regions counts for each phrase. A photo's score is the sum over the phrases, less half of that for
each "not"; by product a "not" below 0 counts as 0. Whatever ranks, the number shown as similarity is the cosine.
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
MOST_DEBIAS = 2

# OpenSearch takes no score below 0. A region below the least similarity is dropped by a score of 0. Raised by `base`,
# no score is below LEAST; a sigmoid is never below 0, and as it is keeps all of float32's digits. `most` is above every
# value.
LEAST = 1e-30
ABOVE_MINIMUM = 1e-35
NO_MINIMUM = -2

# knn_score compares natively, four times faster than Painless does, but bends what is below zero: it gives 1 + cos, and
# for a negative cos 1 / (1 - cos). Of these sums would not be sums of cosines; Painless only has to unbend the number.
# A vector that is missing or not of unit length, and a missing number, must not make the whole search fail.
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
    """How a cosine becomes what ranks. In the stored template `rank` and `debias` are placeholders.

    `matching` is the recipe's; with `has_quality` false, whoever ranks by product is refused by the script.
    """

    rank: str = SIMILARITY
    debias: float | str = 0.0
    matching: Mapping[str, float] = field(default_factory=dict)
    has_quality: bool = True

    @property
    def is_plain(self) -> bool:
        """By the cosine alone."""
        return self.rank == SIMILARITY and self.debias == 0

    @property
    def params(self) -> Json:
        """Of both scripts; that of phrases needs a `min_similarity`, too."""
        return {"rank": self.rank, "debias": self.debias, **self.matching}

    @property
    def script(self) -> str:
        """Painless: what a region scores for a phrase, from its knn_score; 0 where it is below the min_similarity."""
        return f"{self._value}return cos < params.min_similarity ? 0 : Math.max({LEAST}, value + base);"

    @property
    def script_of_not(self) -> str:
        """Painless: the less, the more a region scores for a "not"."""
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
        """What the scripts' scores of so many phrases and "not" add up to more than the photo's score."""
        if self.rank == PRODUCT and self.matching:
            return nots * self.bound(1) / 2
        return (phrases + nots / 2) * (1 + float(self.debias))

    def bound(self, cosine: float) -> float:
        """The most that a region of no greater cosine scores by product, since no quality is above 1."""
        if self.matching:
            return 1 / (1 + exp(-self.matching["scale"] * cosine - self.matching["bias"]))
        return max(0.0, cosine)


PLAIN = Ranking()


def ranking(recipe: Recipe, rank: str, debias: float) -> Ranking:
    """The ranking of an index of that recipe. Raises QueryError where it holds nothing to rank by so."""
    if rank == PRODUCT and debias:
        raise QueryError("rank by product takes no debias; leave one of them out.")
    if rank == PRODUCT and not recipe.has_quality:
        raise QueryError(f"{NO_QUALITY}.")
    if debias and not recipe.bank:
        raise QueryError(f"{NO_HUBNESS}.")
    return Ranking(rank, debias, recipe.matching)
