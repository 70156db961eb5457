"""A picture file as an example to search by."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from sorce.errors import BadPhoto, QueryError
from sorce.mappings import Box
from sorce.mappings.example import LikePicture
from sorce.pictures.files import read
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool


def open_example(file: Path, box: Box | None = None) -> LikePicture:
    """The picture as a person sees it, decoded in a separate process. Raises QueryError."""
    try:
        with closing(DecoderPool(DecodeLimits())) as decoders:
            return LikePicture(decoders.picture(read(file)).image, box, file.name)
    except BadPhoto as error:
        raise QueryError(f"'{file}' {error}.") from error
