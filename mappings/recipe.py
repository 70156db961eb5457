"""The recipe: everything that determines an index's vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sorce.errors import IndexMissing, RecipeMismatch

Plain = str | int | float | bool | None

WITH_QUALITY = ("objects", "objembed")
"""The regions methods whose boxes have a quality; for all others it is 1."""

NAMES_OF_0_1 = {
    "smallest": "min_object_size",
    "most": "max_regions",
    "kept": "max_stored",
    "least": "min_quality",
    "floor": "min_similarity",
}
"""Names of parameters in 0.1.0: its indices store the same recipes under these names."""


_PLAIN = (str, int, float, bool, type(None))
_VALUES = {"parameters": _PLAIN, "prompts": (str,), "matching": (int, float), "bank": _PLAIN}
"""The allowed types of values in a recipe's mappings."""


@dataclass(frozen=True)
class Recipe:
    """Two indices with equal recipes hold comparable vectors, whatever device or number format made them.

    `model` is the name on the hub, `mini`, or `folder`. `revision` is the hub's commit, or `sha256:...` over a folder's
    files (its path says nothing about the vectors). `parameters` are those of the regions method. `prompts` are the
    templates that wrap a text or ask for a region. `backend` is the library that resizes pictures. `matching` holds the
    checkpoint's own `scale` and `bias`, which turn a cosine into a matching score; empty if it has none.

    `bank` says which texts the regions' hubness was computed from (`sorce.models.querybank`); empty if it was not
    computed. It affects no vector, so it does not count when recipes are compared.
    """

    model: str
    revision: str
    regions: str
    dimension: int
    backend: str
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    matching: Mapping[str, float] = field(default_factory=dict)
    bank: Mapping[str, Plain] = field(default_factory=dict, compare=False)

    @property
    def has_quality(self) -> bool:
        """Whether its boxes have a quality, so that a search can rank by product."""
        return self.regions in WITH_QUALITY

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in sorted(self.parameters.items()))
        return f"{self.model}@{self.revision[:15]} {self.regions}({given}) {self.dimension}-d"

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits over all that determines a vector. Each document stores the hash of its recipe."""
        decides = {key: value for key, value in self.to_meta().items() if key != "bank"}
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]

    def to_meta(self) -> dict[str, Any]:
        """As JSON for the mapping's `_meta`."""
        return {
            "model": self.model,
            "revision": self.revision,
            "regions": self.regions,
            "dimension": self.dimension,
            "backend": self.backend,
            "parameters": dict(self.parameters),
            "prompts": dict(self.prompts),
            "matching": dict(self.matching),
            "bank": dict(self.bank),
        }

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any], index: str) -> Recipe:
        """Reads the recipe from an index's mapping. Raises IndexMissing if it is malformed or not sorce's."""
        try:
            given = meta["sorce"]["recipe"]
            found = cls(**{**given, "parameters": _renamed(given["parameters"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise IndexMissing(
                f"index '{index}' holds no sorce recipe; name an index that `sorce ingest` made, or a new one."
            ) from error
        if wrong := found._malformed():
            raise IndexMissing(
                f"the recipe of index '{index}' is malformed ({wrong}), so `sorce ingest` did not write it; name "
                "another index."
            )
        return found

    def _malformed(self) -> str | None:
        """The name of a field with the wrong type; None if there is none."""
        for name in ("model", "revision", "regions", "backend"):
            if not isinstance(getattr(self, name), str):
                return f"{name} is not text"
        if type(self.dimension) is not int or self.dimension < 1:
            return "dimension is not a whole number above 0"
        for name, kinds in _VALUES.items():
            given = getattr(self, name)
            if not isinstance(given, Mapping) or not all(isinstance(value, kinds) for value in given.values()):
                return f"{name} holds a value of a wrong type"
        if self.matching and self.matching.keys() != {"scale", "bias"}:
            return "matching is not a scale and a bias"
        return None

    def differences(self, other: Recipe) -> list[str]:
        """What differs, each as `name: mine / theirs`."""
        mine, theirs = self.to_meta(), other.to_meta()
        return [f"{key}: {mine[key]} / {theirs[key]}" for key in mine if key != "bank" and mine[key] != theirs[key]]


def refuse_mismatch(index: str, there: Recipe, here: Recipe) -> None:
    """Raises RecipeMismatch unless both recipes are equal. The bank may differ: new regions use the index's own."""
    if there != here:
        raise RecipeMismatch(
            f"index '{index}' holds {there}; this run would write {here} ({'; '.join(there.differences(here))}). "
            "Use the index's own model, regions and dimension, or name another index; `sorce ingest --alias` makes one "
            "and moves searches to it."
        )


def _renamed(parameters: Mapping[str, Plain]) -> dict[str, Plain]:
    return {NAMES_OF_0_1.get(name, name): value for name, value in parameters.items()}
