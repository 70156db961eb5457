"""The texts of a search, encoded by a running service. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sorce.errors import PluginError, QueryError
from sorce.mappings import Vector, probe
from sorce.mappings.found import FoundIndex
from sorce.mappings.unit import unit_rows
from sorce.models.model import TextEncoder
from sorce.plugin.cluster.endpoint import Endpoint, key_from_environment, parse, refuse_other_vectors

if TYPE_CHECKING:
    from PIL.Image import Image


class RemoteTexts(TextEncoder):
    """A service in the OpenAI embeddings form. It encodes texts only."""

    def __init__(self, endpoint: Endpoint, dimension: int) -> None:
        """`dimension` is how many numbers a vector of the index has."""
        self._endpoint, self._dimension = endpoint, dimension

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        try:
            found = unit_rows(self._endpoint.embed_texts(texts))
        except ValueError as error:
            raise PluginError(f"the service of --encoder cannot be used: {error}; see its log.") from error
        if found.shape != (len(texts), self._dimension):
            raise PluginError(
                f"the service of --encoder answers {len(texts)} texts with numbers of shape {found.shape}, where the "
                f"index has vectors of {self._dimension}; see its log."
            )
        return found

    def embed_images(self, images: Sequence[Image]) -> Vector:  # noqa: ARG002
        raise QueryError(
            "the encoder service encodes texts only; search by a picture without it (--encoder, SORCE_ENCODER)."
        )


def remote_texts(url: str, index: FoundIndex) -> RemoteTexts:
    """The service at `url`, if it encodes the index's probe as the index's model did.

    The key is that of SORCE_API_KEY. Raises PluginError for another model, and for an index without a probe.
    """
    expected = index.probe
    if expected is None:
        raise PluginError(
            f"index '{index.asked}' holds no probe, by which an encoder is compared with its model, since an older "
            "sorce made it; search without --encoder, or ingest the photos into a new index."
        )
    endpoint = parse(url, index.recipe.model, key_from_environment())
    refuse_other_vectors(endpoint.embed_texts([probe.TEXT]), expected[None], f"the encoder at {endpoint.url}")
    return RemoteTexts(endpoint, index.recipe.dimension)
