"""EXIF data of a photo: when it was taken, and with which camera."""

from __future__ import annotations

import re
import struct
import zlib
from datetime import datetime, timedelta

from PIL import ExifTags, Image

# Exceptions that Pillow's decoders are known to raise on malformed files.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)

DATES = ((0x9003, 0x9011), (0x9004, 0x9012))
"""Tags of EXIF's own directory: when the photo was taken or else digitised, each with its time zone."""

DATE = re.compile(r"(\d{4})[:/.-](\d\d?)[:/.-](\d\d?)[ T]+(\d\d?:\d\d?:\d\d?)(?:[.,]\d+)?(?P<zone>.*)", re.ASCII)
"""EXIF's form is 2024:12:31 12:00:00. Some programs write other separators, fractions, or the zone behind it."""

WESTERNMOST, EASTERNMOST, MINUTE = timedelta(hours=-12), timedelta(hours=14), timedelta(minutes=1)


def orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 if there is none, or it cannot be read."""
    try:
        said = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGED:
        return 1
    return said if isinstance(said, int) else 1


def taken_at(image: Image.Image) -> datetime | None:
    """EXIF's date in local time, or None if there is no plausible date.

    It has a time zone if the camera wrote one that exists on Earth: OpenSearch rejects documents with others.
    """
    try:
        tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except DAMAGED:
        return None
    for date, zone in DATES:
        parts = DATE.fullmatch(f"{tags.get(date, '')}".strip("\0 "))
        if parts is None:
            continue
        said = "{}:{}:{} {}".format(*parts.groups())
        offset = parts["zone"].strip() or f"{tags.get(zone, '')}".strip("\0 ")
        for text, form in ((said + offset, "%Y:%m:%d %H:%M:%S%z"), (said, "%Y:%m:%d %H:%M:%S")):
            try:
                taken = datetime.strptime(text, form)
            except ValueError:
                continue
            if _is_on_earth(taken.utcoffset()):
                return taken
    return None


def _is_on_earth(offset: timedelta | None) -> bool:
    return offset is None or (WESTERNMOST <= offset <= EASTERNMOST and offset % MINUTE == timedelta(0))


def camera(image: Image.Image) -> str | None:
    """Maker and model, as EXIF has them. Many models contain the maker's name."""
    try:
        exif = image.getexif()
        maker, model = (f"{exif.get(tag) or ''}".strip("\0 ") for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    except DAMAGED:
        return None
    name = model if model.lower().startswith(maker.lower()) else f"{maker} {model}".strip()
    # Characters that are not printable would reach the terminal of anyone who lists cameras.
    return "".join(letter if letter.isprintable() else " " for letter in name[:200]).strip() or None
