"""The interface of every regions method: `embed_texts` and `embed_photos`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from sorce.errors import ModelError
from sorce.mappings import Picture, Recipe, Region, Vector
from sorce.models.quiet import quietly

if TYPE_CHECKING:
    from PIL.Image import Image

Prepared = TypeVar("Prepared")


class TextEncoder(ABC):
    """Turns texts into vectors: the only part of a model that a search needs.

    While a method in QUIET runs, logs and warnings of other libraries are hidden from the user.
    """

    QUIET = ("embed_texts", "embed_images", "prepare", "encode")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in cls.QUIET:
            if name in vars(cls):
                setattr(cls, name, quietly(vars(cls)[name]))

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Unit vectors, float32 of shape (len(texts), dimension)."""

    def embed_images(self, images: Sequence[Image]) -> Vector:  # noqa: ARG002
        """Unit vectors of RGB images, float32 of shape (len(images), dimension): region 0 of each as a photo.

        Raises ModelError.
        """
        raise ModelError(
            "this regions method gives no vector for a picture by itself; search by a text or a region of the index."
        )


class Model(TextEncoder, Generic[Prepared]):
    """Turns texts and photos into vectors of one space, by one regions method.

    The work on photos has two halves, so that ingest can run them in parallel: `prepare` (cropping and resizing; any
    thread, one photo) and `encode` (the network; one thread, many photos).
    """

    recipe: Recipe

    @abstractmethod
    def prepare(self, picture: Picture) -> Prepared:
        """The network's input for a photo."""

    @abstractmethod
    def encode(self, prepared: Sequence[Prepared]) -> list[list[Region]]:
        """The regions of each photo; region 0 is the whole photo."""

    def embed_images(self, images: Sequence[Image]) -> Vector:
        return np.stack([regions[0].vec for regions in self.embed_photos([Picture(image) for image in images])])

    def pictures(self, prepared: Prepared) -> int:  # noqa: ARG002
        """Number of images that the network sees of a photo: a measure of its memory and computing time."""
        return 1

    def note(self, width: int, height: int) -> str | None:  # noqa: ARG002
        """A sentence that users should read about photos of this size in pixels; None if there is nothing to say."""
        return None

    def embed_photos(self, pictures: Sequence[Picture]) -> list[list[Region]]:
        """The regions of each photo; region 0 is the whole photo."""
        return self.encode([self.prepare(picture) for picture in pictures])
