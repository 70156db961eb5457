"""Opens the regions method `objects`, or only its text part for a search."""

from __future__ import annotations

from typing import Any

from sorce.errors import ModelError
from sorce.models.checkpoint import Checkpoint
from sorce.models.encoder import Encoder
from sorce.models.hub import pinned
from sorce.models.loading import pick_device
from sorce.models.model import Model, TextEncoder
from sorce.models.objects.loading import is_owl
from sorce.models.objects.method import CroppedObjects, OwlObjects
from sorce.models.objects.owl import BATCH_SIZE, Owl, OwlTextEncoder
from sorce.models.objects.proposers import open_proposer
from sorce.models.objects.settings import ObjectsSettings


def open_objects(
    checkpoint: Checkpoint,
    settings: ObjectsSettings,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    backend: str | None = None,
) -> Model[Any]:
    """`checkpoint` is the encoder's, or with vectors=owl the OWLv2's. `backend` is that of an index that is there.

    Raises ModelError if a network is unavailable, of another family, or does not fit the settings.
    """
    checkpoint = pinned(checkpoint)
    if settings.vectors == "owl":
        owl = Owl(checkpoint, pick_device(device))
        return OwlObjects(owl, OwlTextEncoder(owl, batch_size), settings)
    if is_owl(checkpoint):
        raise ModelError(
            f"model '{checkpoint.name}' is an OWLv2, which does not encode crops; choose vectors=owl, "
            "or name it as the detector and an encoder as the model."
        )
    # The proposer first: users more often misspell its name, and the encoder takes longer to open.
    proposer = open_proposer(settings.proposer, settings.limits, device, checkpoint.trust_remote_code)
    return CroppedObjects(Encoder(checkpoint, device, batch_size, backend=backend), proposer, settings)


def open_texts(
    checkpoint: Checkpoint, vectors: str, device: str = "auto", batch_size: int = BATCH_SIZE, backend: str | None = None
) -> TextEncoder:
    """The text encoder for the photos' space, by a recipe's `vectors`: OWLv2's own, or an encoder's.

    Raises ModelError if the network is unavailable, or of another family.
    """
    if vectors == "owl":
        return OwlTextEncoder(Owl(pinned(checkpoint), pick_device(device)), batch_size)
    return Encoder(checkpoint, device, batch_size, backend=backend)
