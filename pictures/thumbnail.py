"""A small picture of a photo, to be stored with it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 6000
"""In Base64, as the index holds it, these are 8,000 bytes."""

SIDES = (256, 192, 128, 64)
"""The longer side in pixels: the largest that fits into MAX_BYTES at one of the QUALITIES is taken."""

QUALITIES = (70, 45, 25)


def thumbnail(image: Image) -> bytes:
    """The picture as WebP of at most MAX_BYTES; smaller pictures keep their size."""
    found = b""
    for side in SIDES:
        small = image.copy()
        small.thumbnail((side, side))
        for quality in QUALITIES:
            found = _webp(small, quality)
            if len(found) <= MAX_BYTES:
                return found
    # Even noise of 64 x 64 pixels takes less at the lowest quality.
    raise AssertionError(f"a thumbnail of {image.size} takes {len(found)} bytes")


def _webp(image: Image, quality: int) -> bytes:
    file = BytesIO()
    image.save(file, "WEBP", quality=quality)
    return file.getvalue()
