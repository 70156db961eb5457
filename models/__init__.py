"""Turns texts and photos into vectors. Importing this is cheap: torch is imported with the first model."""

from sorce.models.methods import (
    DEFAULT_MODEL,
    DEFAULT_REGIONS,
    METHODS,
    Method,
    load_encoder,
    load_model,
    parse_parameters,
)
from sorce.models.model import Model, TextEncoder
from sorce.models.notes import note_of
from sorce.models.tiling import MAX_REGIONS, MIN_OBJECT_SIZE

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_REGIONS",
    "MAX_REGIONS",
    "METHODS",
    "MIN_OBJECT_SIZE",
    "Method",
    "Model",
    "TextEncoder",
    "load_encoder",
    "load_model",
    "note_of",
    "parse_parameters",
]
