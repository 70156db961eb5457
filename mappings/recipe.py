"""The recipe: all that decides an index's vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sorce.errors import IndexMissing, RecipeMismatch

Plain = str | int | float | bool | None

WITH_QUALITY = ("objects", "objembed")
"""The regions methods whose boxes have a quality; of all others it is 1."""

NAMES_OF_0_1 = {
    "smallest": "min_object_size",
    "most": "max_regions",
    "kept": "max_stored",
    "least": "min_quality",
    "floor": "min_similarity",
}
"""What parameters were called in 0.1.0: its indices hold the same recipes under these names."""


_PLAIN = (str, int, float, bool, type(None))
_VALUES = {"parameters": _PLAIN, "prompts": (str,), "matching": (int, float), "bank": _PLAIN}
"""What the values of a recipe's mappings may be."""


@dataclass(frozen=True)
class Recipe:
    """Two indices with equal recipes hold comparable vectors, whatever device or number format made them.

    `model` is the name on the hub, `mini`, or `folder`; `revision` the hub's commit, or `sha256:...` over a folder's
    files (its path says nothing about the vectors). `parameters` are those of the regions method, `prompts` the
    templates that wrap a text or ask for a region, `backend` the library that resizes pictures. `matching` holds the
    checkpoint's own `scale` and `bias`, by which a cosine becomes a matching score; empty where it has none.

    `bank` says by which texts the regions' hubness was computed (`sorce.models.querybank`), and is empty where it was
    not. It decides no vector, so that recipes are equal without it.
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
        return self.regions in WITH_QUALITY

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in sorted(self.parameters.items()))
        return f"{self.model}@{self.revision[:15]} {self.regions}({given}) {self.dimension}-d"

    @property
    def hash(self) -> str:
        """16 hexadecimal digits over all that decides a vector: each document says by which recipe it was made."""
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
        """Read back from an index's mapping. Raises IndexMissing where the index is not sorce's, or it is malformed."""
        try:
            given = meta["sorce"]["recipe"]
            found = cls(**{**given, "parameters": _renamed(given["parameters"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise IndexMissing(
                f"index '{index}' holds no sorce recipe; name an index that `sorce ingest` made, or a new one."
            ) from error
        if wrong := found._malformed():
            raise IndexMissing(
                f"the recipe of index '{index}' is malformed ({wrong}), so what wrote it was not `sorce ingest`; name "
                "another index."
            )
        return found

    def _malformed(self) -> str | None:
        """Which field is of another type than it says; None where none is."""
        for name in ("model", "revision", "regions", "backend"):
            if not isinstance(getattr(self, name), str):
                return f"{name} is no text"
        if type(self.dimension) is not int or self.dimension < 1:
            return "dimension is no whole number above 0"
        for name, kinds in _VALUES.items():
            given = getattr(self, name)
            if not isinstance(given, Mapping) or not all(isinstance(value, kinds) for value in given.values()):
                return f"{name} holds other values than it may"
        if self.matching and self.matching.keys() != {"scale", "bias"}:
            return "matching is not a scale and a bias"
        return None

    def differences(self, other: Recipe) -> list[str]:
        """What differs, each as `name: mine / theirs`."""
        mine, theirs = self.to_meta(), other.to_meta()
        return [f"{key}: {mine[key]} / {theirs[key]}" for key in mine if key != "bank" and mine[key] != theirs[key]]


def refuse_mismatch(index: str, there: Recipe, here: Recipe) -> None:
    """Raises RecipeMismatch unless both recipes are the same. The bank may differ: new regions get the index's own."""
    if there != here:
        raise RecipeMismatch(
            f"index '{index}' holds {there}; this run would write {here} ({'; '.join(there.differences(here))}). "
            "Name another index, or use the index's own model and regions."
        )


def _renamed(parameters: Mapping[str, Plain]) -> dict[str, Plain]:
    return {NAMES_OF_0_1.get(name, name): value for name, value in parameters.items()}
