"""A picture file as a person sees it: turned by its EXIF, RGB, on white, the first frame.

Whatever a file does, the answer is an image or a `BadPhoto` whose message is the reason in plain words.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from sorce.errors import BadPhoto
from sorce.mappings import Picture
from sorce.pictures.exif import DAMAGED, camera, orientation, taken_at
from sorce.pictures.limits import MOST_PIXELS

with suppress(ImportError):
    from pillow_heif import register_heif_opener  # type: ignore[import-not-found, unused-ignore]

    register_heif_opener()

# Pillow warns on the screen of whoever runs this, of damage that it can live with; what it cannot, it raises.
warnings.filterwarnings("ignore", module=r"PIL\.")

# fmt: off
SUFFIXES = frozenset({
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg",
    ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".tga", ".tif", ".tiff",
    ".webp",
})
# fmt: on
"""File names that end so are photos."""

# Not all that Pillow knows: EPS starts Ghostscript, and PDF, WMF, HDF5 and their like are no photos.
# fmt: off
FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "PSD", "QOI", "TGA", "TIFF", "WEBP",
)
# fmt: on

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_picture(file: Path) -> Picture:
    """The photo of a file, decoded in this process: for files that are trusted. Raises BadPhoto."""
    try:
        with file.open("rb") as stream, opened(stream) as image:
            return Picture(upright(image), str(file), taken_at(image), camera(image))
    except MemoryError as error:
        raise BadPhoto("needs more memory to open than there is") from error
    except OSError as error:
        raise BadPhoto(unreadable(error)) from error


@contextmanager
def opened(stream: BinaryIO) -> Iterator[Image.Image]:
    """A picture of which only the header has been read. Raises BadPhoto."""
    try:
        image = Image.open(stream, formats=_formats())
    except UnidentifiedImageError as error:
        raise BadPhoto(_unknown(stream)) from error
    except Image.DecompressionBombError as error:
        raise BadPhoto(f"has too many pixels; at most {MOST_PIXELS:,} are read") from error
    except DAMAGED as error:
        raise BadPhoto(_damage(error)) from error
    with image:
        if not 0 < image.width * image.height <= MOST_PIXELS:
            raise BadPhoto(f"has {image.width} x {image.height} pixels; 1 to {MOST_PIXELS:,} are read")
        yield image


def upright(image: Image.Image) -> Image.Image:
    """An opened picture as upright RGB. Raises BadPhoto where its content is damaged, and MemoryError."""
    try:
        image.load()
        coloured = _rgb(image)
    except DAMAGED as error:
        raise BadPhoto(_damage(error)) from error
    # Asked for only now: reading a TIFF turns it, and a PNG may say it last.
    turn = TURNS.get(orientation(image))
    if turn is not None:
        return coloured.transpose(turn)
    return coloured.copy() if coloured is image else coloured


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    # Not copied to be turned then: a large photo would be in memory three times.
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as 8, the full range scaled: Pillow's own conversion clips all above 255 to white.

    The range is that of 16 bits, or 0 to 1 for fractions; numbers outside it are taken to span their own.
    """
    values = np.nan_to_num(np.asarray(image, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = 0.0, 1.0 if image.mode == "F" else 65535.0
    least, most = float(values.min()), float(values.max())
    if least < low or most > high:
        low, high = least, max(most, least + 1)
    return Image.fromarray(((values - low) * (255 / (high - low)) + 0.5).astype(np.uint8))


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _unknown(stream: BinaryIO) -> str:
    stream.seek(0)
    head = stream.read(16)
    if not head:
        return "is empty"
    if head[4:8] == b"ftyp" and head[8:11] in (b"hei", b"hev", b"mif", b"msf"):
        return "is HEIC, which needs a plug-in (pip install pillow-heif)"
    return "is not a picture, or of a kind that is not read"


def unreadable(error: OSError) -> str:
    """The operating system's reason."""
    return f"cannot be read ({error.strerror or error})"


def _damage(error: Exception) -> str:
    said = " ".join(str(error).split()).rstrip(".")
    if "truncated" in said.lower():
        return "is cut short"
    return f"is damaged, or of a kind that is not read ({said or type(error).__name__})"
