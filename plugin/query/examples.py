"""The vectors of examples: pictures are encoded here, regions are read from the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np

from sorce.errors import BadPhoto, QueryError
from sorce.mappings import Recipe, Vector
from sorce.mappings.example import Example, LikePicture, LikeRegion
from sorce.mappings.query import Json
from sorce.mappings.regions import by_photo_ids, by_prefix, read_vectors, vectors_body
from sorce.models.model import TextEncoder

if TYPE_CHECKING:
    from PIL.Image import Image

Ask = Callable[[Json], Any]
"""Sends a search to the index and returns its answer."""

_TOO_SHORT = 1e-3
"""A stored vector of another length than 1, beyond rounding, was not written by sorce."""


def vectors_of(
    examples: Sequence[Example], recipe: Recipe, encoder: Callable[[], TextEncoder], ask: Ask
) -> list[Vector]:
    """A unit vector for each example, in order. `encoder` is called only for pictures.

    Raises QueryError for a region that the index does not have, or a vector of another dimension; ModelError if the
    index's model encodes no picture by itself.
    """
    return [_vector(each, recipe, encoder, ask) for each in examples]


def _vector(example: Example, recipe: Recipe, encoder: Callable[[], TextEncoder], ask: Ask) -> Vector:
    if isinstance(example, LikeRegion):
        return region_vector(example, ask)
    if isinstance(example, LikePicture):
        cut = cut_out(example)
        vector: Vector = encoder().embed_images([cut])[0]
        return vector
    if len(example.vector) != recipe.dimension:
        raise QueryError(
            f"a vector of {len(example.vector)} numbers does not fit an index of {recipe.dimension}; encode it with "
            f"the index's model, {recipe.model}."
        )
    return example.vector


def cut_out(example: LikePicture) -> Image:
    """The part inside the box, of whole pixels, upright and in RGB: nothing outside it counts. Raises QueryError."""
    # Not above: few searches have a picture, and Pillow takes a while to import.
    from sorce.pictures.loading import upright

    try:
        picture = upright(example.image)
    except BadPhoto as error:
        raise QueryError(f"{example.label} {error}.") from error
    if example.box is None:
        return picture
    x1, y1, x2, y2 = example.box.as_tuple()
    return picture.crop((floor(x1), floor(y1), ceil(x2), ceil(y2)))


def region_vector(region: LikeRegion, ask: Ask) -> Vector:
    """The unit vector that the index holds for a region. Raises QueryError."""
    found = read_vectors(ask(vectors_body(by_photo_ids([region.photo_id]), region.region_id, 1)))
    if not found:
        found = read_vectors(ask(vectors_body(by_prefix(region.photo_id), region.region_id, 2)))
    if not found:
        raise QueryError(
            f"the index has no region {region.photo_id}/{region.region_id}; a table of hits, and --json, name regions."
        )
    if len(found) > 1:
        raise QueryError(
            f"several photos have an id that starts with {region.photo_id}: {', '.join(sorted(found))}; give one whole."
        )
    [vector] = found.values()
    if vector is None or abs(float(np.linalg.norm(vector)) - 1) > _TOO_SHORT:
        raise QueryError(
            f"the vector of region {region.photo_id}/{region.region_id} is missing from the document's source, or not "
            "of unit length; search with the picture itself."
        )
    return vector
