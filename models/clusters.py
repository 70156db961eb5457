"""The regions method `clusters`: dense features of patches, aggregated (Levi et al., arXiv 2309.14999)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from sorce.errors import ModelError
from sorce.mappings import Box, Picture, Region, Vector
from sorce.models.aggregate import divided, summarised
from sorce.models.dense import open_dense, windowed
from sorce.models.encoder import Encoder
from sorce.models.image_processor import View
from sorce.models.model import Model
from sorce.models.patches import ClusterSettings, divide


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """A photo's size in pixels, the network's view of the whole, and the photo scaled to whole patches."""

    width: int
    height: int
    whole: View
    patches: View


class Clusters(Model[PatchGrid]):
    """The whole photo with the encoder's own vector, and clusters of similar patches.

    A photo with fewer patches than `clusters` has fewer clusters. Photos are computed one at a time, so memory depends
    only on one photo's patches.
    """

    def __init__(self, encoder: Encoder, settings: ClusterSettings | None = None) -> None:
        """Raises ModelError if the encoder is neither a CLIP nor a SigLIP, or lacks the features."""
        settings = settings or ClusterSettings()
        self.encoder = encoder
        self._dense = open_dense(encoder.model, encoder.checkpoint.name, settings.features, settings.positions)
        # The chosen features instead of "auto".
        self._settings = replace(settings, features=self._dense.features)
        self.recipe = encoder.recipe("clusters", asdict(self._settings))

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        return self.encoder.embed_texts(texts)

    def embed_images(self, images: Sequence[Image]) -> Vector:
        return self.encoder.embed_images(images)

    def prepare(self, picture: Picture) -> PatchGrid:
        photo = picture.image
        rows, columns = divide(photo.width, photo.height, self._settings.min_object_size)
        patches = self.encoder.scaled(photo, columns * self._dense.patch, rows * self._dense.patch)
        return PatchGrid(photo.width, photo.height, self.encoder.view(photo, Box(0, 0, *photo.size)), patches)

    def encode(self, prepared: Sequence[PatchGrid]) -> list[list[Region]]:
        wholes = self.encoder.embed_views([seen.whole for seen in prepared])
        return [
            [Region(Box(0, 0, seen.width, seen.height), vec, "whole"), *self._clusters(seen)]
            for seen, vec in zip(prepared, wholes, strict=True)
        ]

    def features(self, seen: PatchGrid) -> Vector:
        """Unit vectors, float32 of shape (rows, columns, dimension)."""
        vectors: Vector = windowed(self._embed, seen.patches, self._dense).cpu().numpy()
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"model '{self.encoder.checkpoint.name}' gave a patch a vector that is zero or not a number; "
                "its weights may be damaged, or unfit for half precision (try --device cpu)."
            )
        return vectors

    def _embed(self, views: Sequence[View]) -> Tensor:
        run, processor = self.encoder.batches.run, self.encoder.image_processor
        return torch.cat(run(lambda batch: self._dense(processor.features(batch)["pixel_values"]), views))

    def _clusters(self, seen: PatchGrid) -> list[Region]:
        features = self.features(seen)
        labels = divided(features, self._settings.clusters, self._settings.aggregation)
        return summarised(features, labels, seen.width, seen.height)
