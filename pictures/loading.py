"""A picture file as a person sees it: turned by its EXIF, RGB, on white, the first frame.

Whatever the file contains, the result is an image or a `BadPhoto` whose message gives the reason in plain words.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, PngImagePlugin, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from sorce.errors import BadPhoto
from sorce.pictures import depth
from sorce.pictures.exif import DAMAGED, camera, orientation, taken_at
from sorce.pictures.keywords import keywords, location
from sorce.pictures.limits import MAX_PIXELS, MAX_TEXT

if TYPE_CHECKING:
    from sorce.mappings import Picture

with suppress(ImportError):
    from pillow_heif import register_heif_opener  # type: ignore[import-not-found, unused-ignore]

    register_heif_opener()

# Pillow's own limit is 1 MB, but editors write longer texts and profiles.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = MAX_TEXT

# Pillow warns at half the number of pixels at which it raises an error.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2

# Pillow warns the user about damage that it can handle; for other damage it raises an error.
warnings.filterwarnings("ignore", module=r"PIL\.")

# fmt: off
SUFFIXES = frozenset({
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg",
    ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".tga", ".tif", ".tiff",
    ".webp",
})
# fmt: on
"""Files with these suffixes are photos."""

# Not all formats of Pillow: EPS starts Ghostscript, and PDF, WMF, HDF5 and similar formats are no photos.
# fmt: off
FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "PSD", "QOI", "TGA", "TIFF", "WEBP",
)
# fmt: on

_Turn = Image.Transpose

TURNS = {
    2: _Turn.FLIP_LEFT_RIGHT,
    3: _Turn.ROTATE_180,
    4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}

_SIDEWAYS = frozenset({_Turn.TRANSPOSE, _Turn.ROTATE_270, _Turn.TRANSVERSE, _Turn.ROTATE_90})
"""Turns that exchange width and height."""
_FROM_THE_END = frozenset({_Turn.ROTATE_180, _Turn.FLIP_TOP_BOTTOM, _Turn.TRANSVERSE, _Turn.ROTATE_90})
"""Turns after which the first row is the last row, or the last column, of the file's pixels."""


def open_picture(file: Path) -> Picture:
    """The photo of a file, decoded in this process: only for trusted files. Raises BadPhoto."""
    # Not above: with numpy, which this imports, each decoder would take twice as long to start.
    from sorce.mappings import Picture

    try:
        with file.open("rb") as stream, opened(stream) as image:
            return Picture(upright(image), str(file), taken_at(image), camera(image), keywords(image), location(image))
    except MemoryError as error:
        raise BadPhoto("needs more memory to open than there is") from error
    except OSError as error:
        raise BadPhoto(unreadable(error)) from error


def upright_size(file: Path) -> tuple[int, int]:
    """Width and height of the picture after EXIF's rotation, from its header alone. Raises BadPhoto."""
    try:
        with file.open("rb") as stream, opened(stream) as image:
            width, height = image.size
            return (height, width) if TURNS.get(orientation(image)) in _SIDEWAYS else (width, height)
    except OSError as error:
        raise BadPhoto(unreadable(error)) from error


@contextmanager
def opened(stream: BinaryIO) -> Iterator[ImageFile]:
    """A picture of which only the header has been read. Raises BadPhoto."""
    try:
        image = _identified(stream)
    except UnidentifiedImageError as error:
        raise BadPhoto(_unknown(stream)) from error
    except Image.DecompressionBombError as error:
        raise BadPhoto(f"has too many pixels; at most {MAX_PIXELS:,} are read") from error
    except DAMAGED as error:
        raise BadPhoto(_damage(error)) from error
    with image:
        if not 0 < image.width * image.height <= MAX_PIXELS:
            raise BadPhoto(f"has {image.width} x {image.height} pixels; 1 to {MAX_PIXELS:,} are read")
        yield image


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels of a photo, RGB, and how to turn them. Rows are turned one part at a time, which saves memory."""

    image: Image.Image
    turn: Image.Transpose | None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright photo."""
        width, height = self.image.size
        return (height, width) if self.turn in _SIDEWAYS else (width, height)

    def rows(self, top: int, bottom: int) -> Image.Image:
        """A copy of the rows of the upright photo, from the first number up to the second."""
        width, height = self.image.size
        if self.turn in _FROM_THE_END:
            top, bottom = self.size[1] - bottom, self.size[1] - top
        part = (top, 0, bottom, height) if self.turn in _SIDEWAYS else (0, top, width, bottom)
        rows = self.image.crop(part)
        return rows if self.turn is None else rows.transpose(self.turn)


def decoded(image: Image.Image) -> Decoded:
    """Decodes an opened picture, which must stay open. Raises BadPhoto if its content is damaged, and MemoryError.

    A picture that a program made, or has loaded already, is converted in the same way.
    """
    try:
        loaded = depth.load(image) if isinstance(image, ImageFile) else image
        coloured = _rgb(loaded)
    except DAMAGED as error:
        raise BadPhoto(_damage(error)) from error
    # Read only now: reading a TIFF turns it, and a PNG may have its orientation at the end.
    return Decoded(coloured, TURNS.get(orientation(image)))


def upright(image: Image.Image) -> Image.Image:
    """Converts a picture to upright RGB. Raises BadPhoto if its content is damaged, and MemoryError."""
    photo = decoded(image)
    # A copy: the opened picture would keep the file's other data in memory.
    return photo.rows(0, photo.size[1])


def _rgb(image: Image.Image) -> Image.Image:
    if depth.is_deep_grey(image):
        return depth.eight_bit_grey(image).convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    # No copy here, because the picture may be turned next: a large photo would be in memory three times.
    return image if image.mode == "RGB" else image.convert("RGB")


def _identified(stream: BinaryIO) -> ImageFile:
    # Most pictures are of the few formats that Pillow loads first. To load all takes a tenth of a second.
    Image.preinit()
    try:
        return Image.open(stream, formats=_formats())
    except UnidentifiedImageError:
        stream.seek(0)
        Image.init()
        return Image.open(stream, formats=_formats())


def _formats() -> list[str]:
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
    """The reason in plain words. Raises MemoryError if a C decoder reports too little memory."""
    said = " ".join(str(error).split()).rstrip(".")
    if "truncated" in said.lower():
        return "is cut short"
    if "MAX_TEXT" in said:
        return f"has more than {MAX_TEXT >> 20} MB of text or colour profile, which is the limit"
    if "memory" in said.lower() or "alloc" in said.lower():
        raise MemoryError(said) from error
    if "limit" in said.lower():
        return f"exceeds a limit of its decoder ({said})"
    return f"is damaged, or of a kind that is not read ({said or type(error).__name__})"
