"""The regions methods, by name; nothing heavy is imported before one is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sorce.errors import ModelError
from sorce.mappings import Recipe
from sorce.mappings.recipe import Plain
from sorce.models.checkpoint import Checkpoint, find, find_again
from sorce.models.model import Model, TextEncoder
from sorce.models.plan import MOST, SMALLEST

DEFAULT_MODEL = "google/siglip2-base-patch16-256"
DEFAULT_REGIONS = "tiles"


@dataclass(frozen=True, slots=True)
class Run:
    """What a model runs on: `auto`, cpu, cuda or mps, so many pictures or texts at a time."""

    device: str = "auto"
    batch_size: int = 64


@dataclass(frozen=True, slots=True)
class Method:
    """A regions method: its parameters with their defaults, how to load its model, and what a search needs of that."""

    name: str
    summary: str
    load: Callable[[Checkpoint, Run, Mapping[str, Any]], Model[Any]]
    load_texts: Callable[[Checkpoint, Run], TextEncoder]
    parameters: Mapping[str, Plain] = field(default_factory=dict)


def _texts(checkpoint: Checkpoint, run: Run) -> TextEncoder:
    from sorce.models.encoder import Encoder

    return Encoder(checkpoint, run.device, run.batch_size)


def _whole(checkpoint: Checkpoint, run: Run, parameters: Mapping[str, Any]) -> Model[Any]:
    from sorce.models.encoder import Encoder
    from sorce.models.whole import Whole

    return Whole(Encoder(checkpoint, run.device, run.batch_size), **parameters)


def _tiles(checkpoint: Checkpoint, run: Run, parameters: Mapping[str, Any]) -> Model[Any]:
    from sorce.models.encoder import Encoder
    from sorce.models.tiles import Tiles

    return Tiles(Encoder(checkpoint, run.device, run.batch_size), **parameters)


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("whole", "one vector for the whole photo", _whole, _texts),
        Method(
            "tiles",
            "overlapping squares on several scales, cut from the original pixels",
            _tiles,
            _texts,
            {"smallest": SMALLEST, "most": MOST},
        ),
    )
}


def load_model(
    name: str = DEFAULT_MODEL,
    regions: str = DEFAULT_REGIONS,
    parameters: Mapping[str, Plain] | None = None,
    device: str = "auto",
    batch_size: int = 64,
) -> Model[Any]:
    """A model by the name of its weights (`mini`, a folder, or a name on the hub) and of its regions method.

    Parameters that are not given have the method's defaults. Raises ModelError where the weights cannot be loaded, or
    the method or a parameter is unknown.
    """
    method = _method(regions)
    given = dict(parameters or {})
    if unknown := sorted(given.keys() - method.parameters.keys()):
        known = f"only {', '.join(method.parameters)}" if method.parameters else "none"
        raise ModelError(f"regions method '{regions}' has no parameter '{unknown[0]}'; it knows {known}.")
    return method.load(find(name), Run(device, batch_size), {**method.parameters, **given})


def load_encoder(model: Recipe | str, device: str = "auto", folder: str | None = None) -> TextEncoder:
    """The part of a model that a search needs: of the very weights that made an index, or by the weights' name.

    `folder` says where the weights of an index lie that were read from a folder. Raises ModelError where they cannot be
    loaded, or are others than the recipe's.
    """
    if isinstance(model, str):
        return _texts(find(model), Run(device))
    return _method(model.regions).load_texts(find_again(model, folder), Run(device))


def _method(name: str) -> Method:
    if name not in METHODS:
        raise ModelError(
            f"this sorce has no regions method '{name}'; choose one of {', '.join(METHODS)}, or a newer sorce."
        )
    return METHODS[name]
