"""What a person wrote into a photo, and where it was taken: keywords of IPTC and XMP, and GPS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isfinite
from xml.etree import ElementTree

from PIL import ExifTags, Image, IptcImagePlugin

from sorce.pictures.exif import DAMAGED
from sorce.pictures.names import composed

MAX_KEYWORDS = 50
MAX_LETTERS = 64
"""Limits of what is kept: IPTC allows 64 bytes for a keyword. `sorce.mappings.limits` has the second one, too."""

# IPTC-IIM 4.2, datasets 2:25 (Keywords) and 1:90 (CodedCharacterSet, which is this for UTF-8).
KEYWORDS, CHARACTER_SET, UTF_8 = (2, 25), (1, 90), b"\x1b%G"

# XMP, ISO 16684-1: dc:subject is a bag of texts.
SUBJECT = "{http://purl.org/dc/elements/1.1/}subject"
ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
XMP = ("xmp", "XML:com.adobe.xmp")
"""Pillow's names for it; the second one is for PNG."""

DAMAGED_XML = (*DAMAGED, ElementTree.ParseError)


def keywords(image: Image.Image) -> tuple[str, ...]:
    """The photo's keywords, without repeats, in the order of the file. What is damaged is left out."""
    return tuple(_kept((*_iptc(image), *_xmp(image))))


def location(image: Image.Image) -> tuple[float, float] | None:
    """GPS's latitude and longitude in degrees; None if there are none that make sense.

    0,0 is what cameras write that do not know where they are.
    """
    try:
        tags = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        place = _degrees(tags, ExifTags.GPS.GPSLatitude, "S"), _degrees(tags, ExifTags.GPS.GPSLongitude, "W")
    except DAMAGED:
        return None
    latitude, longitude = place
    if not (isfinite(latitude) and isfinite(longitude)) or place == (0, 0):
        return None
    return place if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _degrees(tags: dict[int, object], tag: int, negative: str) -> float:
    """From degrees, minutes and seconds, with the letter of the hemisphere in the tag before."""
    degrees, minutes, seconds = (float(each) for each in tags[tag])  # type: ignore[attr-defined]
    sign = -1 if str(tags.get(tag - 1, "")).strip("\0 ").upper() == negative else 1
    return sign * round(degrees + minutes / 60 + seconds / 3600, 7)


def _iptc(image: Image.Image) -> list[str]:
    try:
        # Pillow finds it in JPEG and TIFF.
        found = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
        values = found.get(KEYWORDS, [])
        given = values if isinstance(values, list) else [values]
        return [_text(each, is_utf_8=found.get(CHARACTER_SET) == UTF_8) for each in given]
    except DAMAGED:
        return []


def _text(value: bytes, *, is_utf_8: bool) -> str:
    """Many programs write UTF-8 without saying so. Other bytes are taken for Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode(errors="replace") if is_utf_8 else value.decode("latin-1")


def _xmp(image: Image.Image) -> list[str]:
    given = next((image.info[name] for name in XMP if image.info.get(name)), None)
    if given is None:
        return []
    try:
        # This runs in the decoder's process, whose time and memory are limited.
        root = ElementTree.fromstring(given if isinstance(given, str) else bytes(given).rstrip(b"\0 "))
        return [item.text or "" for subject in root.iter(SUBJECT) for item in subject.iter(ITEM)]
    except DAMAGED_XML:
        return []


def _kept(given: Iterable[str]) -> Iterator[str]:
    seen = set[str]()
    for each in given:
        # Characters that are not printable would reach the terminal of anyone who lists keywords.
        text = "".join(letter if letter.isprintable() else " " for letter in composed(each)[:MAX_LETTERS]).strip()
        if text and text not in seen and len(seen) < MAX_KEYWORDS:
            seen.add(text)
            yield text
