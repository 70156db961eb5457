"""Text and pictures to vectors. Importing this is cheap: torch comes with the first model."""

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
from sorce.models.plan import MOST, SMALLEST

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_REGIONS",
    "METHODS",
    "MOST",
    "SMALLEST",
    "Method",
    "Model",
    "TextEncoder",
    "load_encoder",
    "load_model",
    "parse_parameters",
]
