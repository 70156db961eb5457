"""Tries a model on this machine: one text, some drawn photos, and what follows from them for an index."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from sorce.mappings import Picture
from sorce.models.catalogue import stored_bytes
from sorce.models.model import Model

WIDTH, HEIGHT = 1600, 1200
"""A usual photo's size in pixels."""
TEXT = "a small red umbrella"
TIMES = 3
PHOTOS = 10_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ModelTrial:
    """What a model does on this machine. `seconds_per_photo` are those of preparing and encoding one photo."""

    model: str
    regions: str
    dimension: int
    seconds_to_load: float
    seconds_per_text: float
    seconds_per_photo: float
    regions_per_photo: int
    bytes_per_photo: int

    @property
    def hours(self) -> float:
        """How long 10,000 photos take."""
        return PHOTOS * self.seconds_per_photo / 3600

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "hours_for_10000_photos": self.hours}


def try_model(load: Callable[[], Model[Any]]) -> ModelTrial:
    """Loads a model, and encodes a text and a photo several times. The first time of each does not count.

    Raises ModelError.
    """
    loading, model = _timed(load)
    model.embed_texts([TEXT])
    text = statistics.median(_timed(lambda: model.embed_texts([TEXT]))[0] for _ in range(TIMES))
    [regions] = model.embed_photos([_photo(0)])
    photos = [_photo(number) for number in range(1, 1 + TIMES)]
    photo = statistics.median(_timed(partial(model.embed_photos, [each]))[0] for each in photos)
    recipe = model.recipe
    return ModelTrial(
        model=recipe.model,
        regions=recipe.regions,
        dimension=recipe.dimension,
        seconds_to_load=loading,
        seconds_per_text=text,
        seconds_per_photo=photo,
        regions_per_photo=len(regions),
        bytes_per_photo=stored_bytes(recipe.dimension, len(regions)),
    )


def _photo(seed: int) -> Picture:
    """Noise in coarse squares: every region differs from the others."""
    coarse = np.random.default_rng(seed).integers(0, 256, (HEIGHT // 25, WIDTH // 25, 3), np.uint8)
    return Picture(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done
