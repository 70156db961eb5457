"""Converts samples of more than 8 bits to 8 bits, with the range that the file uses scaled to 0..255.

Pillow clips 16-bit grey, takes the upper byte of 16-bit colours, and reads 16-bit planes as if they had 8 bits. It does
not invert grey of more than 8 bits whose 0 is white, and takes numbers over 2**31 for negative ones.

The range of a file is found like this:

- If the format declares it, that is used: TIFF with fewer than 16 bits per sample, PGM and PPM, JPEG 2000.
- Else (PNG, and TIFF of 16 or 32 bits) it is the smallest power of two, 8 to 16 bits, that holds the brightest pixel:
  cameras and scanners of 10, 12 or 14 bits write their numbers unscaled. TIFF's MaxSampleValue is not read, because
  its specification says that it must not change how a picture looks.
- Fractions range from 0 to 1. Numbers outside these ranges, and negative ones, are scaled by their own minimum and
  maximum.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile, ImagePalette
from PIL.TiffImagePlugin import TiffImageFile

from sorce.errors import BadPhoto

if TYPE_CHECKING:
    # Few pictures need numpy. Without it a decoder starts in half the time.
    import numpy as np
    from numpy.typing import NDArray

BITS_PER_SAMPLE, PLANAR_CONFIGURATION, APART = 258, 284, 2
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
SAMPLE_FORMAT, UNSIGNED, SIGNED = 339, 1, 2
COLOUR_MAP = 320
KIND_OF_PAGE, SMALLER = 254, 1
LOWEST, HIGHEST = 8, 16
HIGHEST_COLOUR = 65535

DECLARED = frozenset({"PPM", "JPEG2000"})
"""Formats whose samples Pillow has already scaled to 16 bits."""

NATIVE = "L" if sys.byteorder == "little" else "B"


def is_deep_grey(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def eight_bit_grey(image: Image.Image) -> Image.Image:
    """Converts a loaded picture for which `is_deep_grey` holds to mode L. NaN becomes black."""
    import numpy as np

    numbers = np.asarray(image)
    if _tag(image, BITS_PER_SAMPLE) == 32 and _tag(image, SAMPLE_FORMAT, UNSIGNED) == UNSIGNED:
        numbers = numbers.view(np.uint32)
    values = np.nan_to_num(numbers.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    if _tag(image, PHOTOMETRIC) == WHITE_IS_ZERO:
        values = max(_range(image, values)) - values
    low, high = _range(image, values)
    grey = ((values - low) * (255 / (high - low)) + 0.5).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[numbers == clear] = 255
    return Image.fromarray(grey)


def _range(image: Image.Image, values: NDArray[np.float32]) -> tuple[float, float]:
    """The numbers that become black and white."""
    least, most = float(values.min()), float(values.max())
    high = 1.0 if image.mode == "F" else float(2 ** _bits_used(image, most) - 1)
    return (0.0, high) if least >= 0 and most <= high else (least, max(most, least + 1))


def load(image: ImageFile.ImageFile) -> Image.Image:
    """Loads an opened picture. Returns the same object, or a new one if 16-bit colours use only a part of their range.

    Raises BadPhoto, and what Pillow raises.
    """
    if isinstance(image, TiffImageFile):
        _correct_tiff(image)
    stream, tiles = image.fp, list(image.tile)
    image.load()
    if not (_is_deep_colour(tiles) and image.mode in ("RGB", "RGBA", "LA")) or image.format in DECLARED:
        return image
    # If the upper bytes show that all bits are used, nothing is to be done, as for most pictures.
    return image if _brightest(image) > 127 else _deep_colour(image, stream, tiles)


def _deep_colour(image: ImageFile.ImageFile, stream: Any, tiles: list[Any]) -> Image.Image:
    import numpy as np

    low = _lower_bytes(image, stream, tiles)
    values: NDArray[np.uint16] = np.asarray(image, np.uint16) << np.uint16(8)
    values |= np.asarray(low, np.uint16) if low else np.uint16(255)
    return Image.fromarray(_scaled(values, image), image.mode)


def _correct_tiff(image: TiffImageFile) -> None:
    """Corrects what Pillow would read wrongly. Raises BadPhoto for what cannot be corrected."""
    if _tag(image, KIND_OF_PAGE, 0) & SMALLER and image.is_animated:
        raise BadPhoto("begins with a small preview, as a camera's raw file does; save the photo as JPEG or TIFF")
    if image.mode == "L" and _tag(image, SAMPLE_FORMAT) == SIGNED:
        raise BadPhoto("is a TIFF of bytes with a sign, which is not read; save it without signs")
    if image.mode == "P" and max(image.tag_v2.get(COLOUR_MAP, (HIGHEST_COLOUR,))) < 256:
        _correct_palette(image)
    # What libtiff decompressed has this machine's order of bytes, whatever the file's is.
    image.tile = [
        _with_raw_mode(tile, _raw_mode(tile).replace("B", "N"))
        if tile.codec_name == "libtiff" and image.mode in ("I", "F")
        else tile
        for tile in image.tile
    ]
    _correct_planes(image)


def _correct_palette(image: TiffImageFile) -> None:
    """Colours of 8 bits, where TIFF has 16: Pillow would take their upper bytes, which are 0."""
    colours = bytes(image.tag_v2[COLOUR_MAP])
    number = len(colours) // 3
    image.palette = ImagePalette.raw("RGB", bytes(each for at in range(number) for each in colours[at::number]))


def _correct_planes(image: TiffImageFile) -> None:
    """Tells Pillow that uncompressed 16-bit planes have 16 bits: it reads one byte per sample.

    Raises BadPhoto for planes that Pillow reads wrongly in another way.
    """
    tags = image.tag_v2
    if tags.get(PLANAR_CONFIGURATION) != APART or len(image.getbands()) < 2:
        return
    if not image.mode.startswith(("RGB", "CMYK", "YCbCr")):
        kind = "LAB colours" if image.mode == "LAB" else "grey and transparency"
        raise BadPhoto(f"is a TIFF of {kind} in planes apart, which is not read; save it with interleaved colours")
    if max(tags.get(BITS_PER_SAMPLE, (1,))) == 16 and all(tile.codec_name == "raw" for tile in image.tile):
        order = "L" if tags.prefix == b"II" else "B"
        image.tile = [_with_raw_mode(tile, f"{_raw_mode(tile)};16{order}") for tile in image.tile]


def _is_deep_colour(tiles: list[Any]) -> bool:
    return bool(tiles) and all(";16" in _raw_mode(tile) for tile in tiles)


def _raw_mode(tile: Any) -> str:
    args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    return str(args[0]) if args else ""


def _brightest(image: Image.Image) -> int:
    """The brightest value of the colours, without transparency."""
    bands = image.getextrema()[: 3 if image.mode.startswith("RGB") else 1]
    return int(max(most for _, most in bands))  # type: ignore[misc]


def _lower_bytes(image: ImageFile.ImageFile, stream: Any, tiles: list[Any]) -> Image.Image | None:
    """The same picture read with its bytes swapped. None if Pillow cannot do that; then only fine shades are lost."""
    stream.seek(0)
    try:
        again = Image.open(stream, formats=[str(image.format)])
        if isinstance(again, TiffImageFile):
            _correct_planes(again)
        again.tile = [_swapped(tile) for tile in tiles]
        again.load()
    except ValueError:
        return None
    return again


def _swapped(tile: Any) -> Any:
    mode = _raw_mode(tile)
    order = NATIVE if mode[-1] == "N" else mode[-1]
    return _with_raw_mode(tile, mode[:-1] + ("B" if order == "L" else "L"))


def _with_raw_mode(tile: Any, mode: str) -> Any:
    return tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)


def _scaled(values: NDArray[np.uint16], image: Image.Image) -> NDArray[np.uint8]:
    colours = 3 if image.mode.startswith("RGB") else 1
    most = 2 ** _bits_used(image, int(values[..., :colours].max())) - 1
    scaled = _table(most)[values]
    # Transparency has the same range as the colours, unless it needs more.
    if values.shape[-1] > colours and values[..., colours:].max() > most:
        scaled[..., colours:] = values[..., colours:] >> 8
    return scaled


def _table(most: int) -> NDArray[np.uint8]:
    """Maps each of 65,536 numbers to a byte; `most` becomes 255. Floating-point numbers would need more memory."""
    import numpy as np

    return np.asarray(np.minimum(np.arange(65536) * (255 / most) + 0.5, 255), np.uint8)


def _tag(image: Image.Image, number: int, otherwise: int | None = None) -> Any:
    """The value of a tag of TIFF, or the first of several."""
    found = getattr(image, "tag_v2", {}).get(number, otherwise)
    return found[0] if isinstance(found, tuple) and found else found


def _bits_used(image: Image.Image, brightest: float) -> int:
    declared = max(getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (HIGHEST,)))
    if image.format in DECLARED or declared < HIGHEST:
        return int(min(declared, HIGHEST))
    return min(max(int(brightest).bit_length(), LOWEST), HIGHEST)
