"""What every regions method offers: two verbs, `embed_texts` and `embed_photos`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from sorce.mappings import Picture, Recipe, Region, Vector
from sorce.models.quiet import quietly

Prepared = TypeVar("Prepared")


class TextEncoder(ABC):
    """Texts to vectors: all that a search needs of a model.

    What other libraries log or warn of while one of QUIET runs reaches no user.
    """

    QUIET = ("embed_texts", "prepare", "encode")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in cls.QUIET:
            if name in vars(cls):
                setattr(cls, name, quietly(vars(cls)[name]))

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Unit vectors, float32 of shape (len(texts), dimension)."""


class Model(TextEncoder, Generic[Prepared]):
    """Texts and photos to vectors of one space, by one regions method.

    The work on photos has two halves, so that ingest can run them side by side: `prepare` (cutting and resizing; any
    thread, one photo) and `encode` (the network; one thread, many photos).
    """

    recipe: Recipe

    @abstractmethod
    def prepare(self, picture: Picture) -> Prepared:
        """What the network will see of a photo."""

    @abstractmethod
    def encode(self, prepared: Sequence[Prepared]) -> list[list[Region]]:
        """The regions of each photo; region 0 is the whole photo."""

    def pictures(self, prepared: Prepared) -> int:  # noqa: ARG002
        """How many pictures the network sees of a photo: what it takes to hold and to encode it."""
        return 1

    def note(self, width: int, height: int) -> str | None:  # noqa: ARG002
        """What a user should know of photos of this size, in pixels, as a sentence; None where there is nothing."""
        return None

    def embed_photos(self, pictures: Sequence[Picture]) -> list[list[Region]]:
        """The regions of each photo; region 0 is the whole photo."""
        return self.encode([self.prepare(picture) for picture in pictures])
