"""A text tower and an image tower that share a space: any dual encoder that sentence-transformers loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sorce.errors import ModelError
from sorce.mappings import Box, Recipe, Vector
from sorce.mappings.recipe import Plain
from sorce.models.batches import Batches
from sorce.models.bfloat16 import computes_bfloat16
from sorce.models.checkpoint import Checkpoint
from sorce.models.families import FAMILIES, EncoderFamily, family_of
from sorce.models.halved import halved
from sorce.models.hub import pinned
from sorce.models.image_processor import Features, ImageProcessor, View
from sorce.models.loading import lacks, open_model, pick_device, refusals, why
from sorce.models.model import TextEncoder
from sorce.models.normalise import unit_vectors
from sorce.models.own_code import open_own_code
from sorce.models.tokenizer import Tokenizer, has_tokenizer

BATCH_SIZE = 64


def open_network(checkpoint: Checkpoint, family: EncoderFamily, device: torch.device, half: bool) -> Any:
    """The network in float32, or on a GPU in its family's half precision, with the interface of a SentenceTransformer.

    In float16, unit vectors differ by at most 1e-3. bfloat16 has 3 bits less. Raises ModelError.
    """
    dtype = family.number_format(device, half)
    if family.auto_class:
        return open_own_code(checkpoint, family, device, dtype)
    return open_model(checkpoint, device, dtype)


class Encoder(TextEncoder):
    """A dual encoder. All its methods may be called from any thread.

    `model` is what sentence-transformers loaded. With `image_processor` and `batches`, a regions method can run another
    network over the views. `input_size` is the side in pixels of the square that the network sees. `dimension` is the
    vectors' length. `checkpoint` always has its revision, even if the given one had none.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        batch_size: int = BATCH_SIZE,
        half: bool = True,
        dimension: int | None = None,
        backend: str | None = None,
    ) -> None:
        """`half` allows half precision if the device has it natively: on a GPU for everything, on a CPU for images.

        `dimension` cuts the vectors to their first numbers. `backend` is what resizes images, by the recipe of an index
        that is there. Raises ModelError if the checkpoint cannot be loaded, does not encode both texts and images, or
        was not trained for such a cut.
        """
        self.checkpoint = pinned(checkpoint)
        self.family = family_of(self.checkpoint)
        self.checkpoint = self.family.trusted(self.checkpoint)
        self.model: Any = open_network(self.checkpoint, self.family, pick_device(device), half)
        # The rules for texts follow what was opened, also where config.json could not be read.
        self.family = FAMILIES.get(str(getattr(self.model.config, "model_type", "")), self.family)
        self._half_on_cpu = half and computes_bfloat16(self.model.device)
        self._halved = halved(self.model) if self._half_on_cpu else None
        self._refuse_half_an_encoder()
        self._tokenizer = Tokenizer(self.model, self.family)
        self.image_processor = ImageProcessor(self.model, self.family, backend)
        self.batches = Batches(self.model.device, batch_size)
        self.input_size = self.image_processor.input_size
        self._cut: int | None = None
        self.dimension = self._shared_dimension()
        if dimension is not None and dimension != self.dimension:
            self._refuse_cut(dimension)
            self.dimension = self._cut = dimension

    def recipe(self, regions: str, parameters: Mapping[str, Plain]) -> Recipe:
        """The recipe of a regions method that embeds boxes with this encoder."""
        return Recipe(
            model=self.checkpoint.model,
            revision=str(self.checkpoint.revision),
            regions=regions,
            dimension=self.dimension,
            backend=self.image_processor.backend,
            parameters=parameters,
            prompts={"query": self._tokenizer.prompt} if self._tokenizer.prompt else {},
        )

    def embed_texts(self, texts: Sequence[str]) -> Vector:
        """Unit vectors, float32 of shape (len(texts), dimension). Texts too long for the model are cut."""
        return self._unit(self.batches.run(lambda batch: self._forward(self._tokenizer.features(batch)), texts))

    def embed_views(self, views: Sequence[View]) -> Vector:
        """Unit vectors, float32 of shape (len(views), dimension)."""
        return self._unit(self.batches.run(self._see, views))

    def embed_images(self, images: Sequence[Image.Image]) -> Vector:
        return self.embed_views([self.view(image, Box(0, 0, *image.size)) for image in images])

    def view(self, photo: Image.Image, box: Box) -> View:
        """The network's view of a box of an upright RGB photo."""
        return self.image_processor.view(photo, box)

    def scaled(self, photo: Image.Image, width: int, height: int) -> View:
        """An upright RGB photo scaled to this size, to cut views from."""
        return self.image_processor.scaled(photo, width, height)

    @torch.inference_mode()
    def _see(self, views: Sequence[View]) -> Tensor:
        features = self.image_processor.features(views)
        if self._halved is not None:
            pixels = {name: value for name, value in features.items() if isinstance(value, Tensor)}
            vectors: Tensor = self._halved.get_image_features(**pixels).pooler_output
            return vectors
        # Each batch casts the weights again: threads would not share a cache.
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half_on_cpu, cache_enabled=False):
            return self._forward(features)

    @torch.inference_mode()
    def _forward(self, features: Features) -> Tensor:
        vectors: Tensor = self.model(features)["sentence_embedding"]
        return vectors

    def _unit(self, batches: list[Tensor]) -> Vector:
        if not batches:
            return np.zeros((0, self.dimension), np.float32)
        return unit_vectors(torch.cat(batches)[:, : self._cut], self.checkpoint.name)

    def _refuse_cut(self, dimension: int) -> None:
        allowed = self.family.dimensions
        if dimension not in allowed or dimension > self.dimension:
            smaller = [size for size in (2048, 1024, 512, 256, 128, 64) if size in allowed and size < self.dimension]
            remedy = f"choose one of {', '.join(map(str, smaller))}" if smaller else "leave the dimension out"
            raise ModelError(
                f"model '{self.checkpoint.name}' gives vectors of {self.dimension} numbers and was not trained to have "
                f"them cut to {dimension}; {remedy}."
            )

    def _refuse_half_an_encoder(self) -> None:
        # A model of texts alone may have no processor.
        processor: Any = getattr(self.model, "processor", None)
        missing = ""
        if not self.model.supports("image") or not hasattr(processor, "image_processor"):
            missing = "pictures, or has no preprocessor_config.json"
        elif not self.model.supports("text") or not has_tokenizer(processor.tokenizer):
            missing = "texts, or has no tokenizer.json"
        if missing:
            raise ModelError(
                f"model '{self.checkpoint.name}' does not encode {missing}; "
                "choose an encoder of both, such as google/siglip2-base-patch16-256."
            )
        # sentence-transformers adds a mean over the tokens to any network, such as a chat model: nobody trained it.
        if isinstance(self.model, Sized) and len(self.model) > 1 and lacks(self.checkpoint, "modules.json"):
            raise ModelError(
                f"model '{self.checkpoint.name}' gives a vector for each token and was not saved as an encoder (no "
                "modules.json); choose --regions prompts or objembed if it is made for one, or an encoder such as "
                "google/siglip2-base-patch16-256."
            )

    def _shared_dimension(self) -> int:
        grey = np.full((self.input_size, self.input_size, 3), 127, np.uint8)
        try:
            texts, pictures = len(self.embed_texts(["a photo"])[0]), len(self.embed_views([grey])[0])
        except ModelError:
            raise
        except refusals(self.checkpoint) as error:
            if self.checkpoint.trust_remote_code:
                raise ModelError(
                    f"model '{self.checkpoint.name}' cannot encode: {why(error, self.checkpoint)}."
                ) from error
            # Chat models and detectors also take both inputs, but give no separate vector for each.
            raise ModelError(
                f"model '{self.checkpoint.name}' has no tower of its own for texts and for pictures; "
                "choose a dual encoder such as google/siglip2-base-patch16-256."
            ) from error
        if texts != pictures:
            raise ModelError(
                f"model '{self.checkpoint.name}' gives texts {texts} numbers and pictures {pictures}, "
                "so they cannot be compared; choose a dual encoder such as google/siglip2-base-patch16-256."
            )
        return texts
