"""Keywords and places that files hold, read as the decoder's process reads them."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from PIL import Image

from sorce.mappings import Picture
from sorce.pictures.keywords import MAX_KEYWORDS, MAX_LETTERS
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag>{}</rdf:Bag></dc:subject>
<dc:title><rdf:Alt><rdf:li>no keyword</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"""
UTF_8 = b"\x1c\x01\x5a\x00\x03\x1b%G"


def xmp(*words: str) -> bytes:
    return XMP.format("".join(f"<rdf:li>{word}</rdf:li>" for word in words)).encode()


def iptc(*words: bytes, head: bytes = b"") -> bytes:
    """The application segment that holds IPTC's keywords in a JPEG (Photoshop's resource 0x0404)."""
    data = head + b"".join(b"\x1c\x02\x19" + len(word).to_bytes(2, "big") + word for word in words)
    resource = b"8BIM\x04\x04\x00\x00" + len(data).to_bytes(4, "big") + data + b"\x00" * (len(data) % 2)
    content = b"Photoshop 3.0\x00" + resource
    return b"\xff\xed" + (len(content) + 2).to_bytes(2, "big") + content


def jpeg(segment: bytes = b"", **more: Any) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (8, 8)).save(written, "JPEG", **more)
    content = written.getvalue()
    return content[:2] + segment + content[2:]


def placed(*tags: Any) -> bytes:
    image = Image.new("RGB", (8, 8))
    exif = image.getexif()
    exif.get_ifd(0x8825).update(dict(zip((1, 2, 3, 4), tags, strict=True)))
    return jpeg(exif=exif)


@pytest.fixture(scope="module")
def read() -> Any:
    with closing(DecoderPool(DecodeLimits())) as decoders:
        yield decoders.picture


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_keywords_of_xmp_are_read_from_each_form(read: Callable[[bytes], Picture], form: str) -> None:
    written, words = io.BytesIO(), xmp("red bag", "Straße")
    more: dict[str, Any] = {"xmp": words}
    if form == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", words.decode())
        more = {"pnginfo": info}
    if form == "TIFF":
        more = {"tiffinfo": {700: words}}
    Image.new("RGB", (8, 8)).save(written, form, **more)
    assert read(written.getvalue()).keywords == ("red bag", "Straße")


@pytest.mark.parametrize(
    ("segment", "wanted"),
    [
        (iptc(b"shelf", "Straße".encode(), head=UTF_8), ("shelf", "Straße")),
        (iptc("Straße".encode()), ("Straße",)),
        (iptc("Straße".encode("latin-1")), ("Straße",)),
        (iptc(b"shelf"), ("shelf",)),
        (iptc(), ()),
    ],
)
def test_keywords_of_iptc_are_read(read: Callable[[bytes], Picture], segment: bytes, wanted: tuple[str, ...]) -> None:
    assert read(jpeg(segment)).keywords == wanted


def test_both_are_put_together_without_repeats(read: Callable[[bytes], Picture]) -> None:
    assert read(jpeg(iptc(b"bag", b"shelf"), xmp=xmp("shelf", "red"))).keywords == ("bag", "shelf", "red")


def test_what_is_kept_is_limited_and_can_be_shown(read: Callable[[bytes], Picture]) -> None:
    words = read(jpeg(xmp=xmp(*(f"word {number}" for number in range(200))))).keywords
    assert len(words) == MAX_KEYWORDS
    assert read(jpeg(iptc(b"x" * 500))).keywords == ("x" * MAX_LETTERS,)
    assert read(jpeg(iptc(b"a\x1b[2Jb", b" \x00 "))).keywords == ("a [2Jb",)
    worst = read(jpeg(xmp=xmp(*(chr(0x1F600 + number) * 100 for number in range(60))))).keywords
    assert len(worst) == MAX_KEYWORDS


@pytest.mark.parametrize(
    "segment", [iptc(b"bag")[:-1] + b"\xff", iptc(b"bag")[:20] + b"\x00" * 9, b"\xff\xed\x00\x08Photos"]
)
def test_damaged_iptc_costs_itself_and_not_the_photo(read: Callable[[bytes], Picture], segment: bytes) -> None:
    assert read(jpeg(segment)).size == (8, 8)


def test_damaged_or_hostile_xmp_costs_itself_and_not_the_photo(read: Callable[[bytes], Picture]) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY a0 "x">' + b"".join(
        b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12)
    )
    for given in (b"<a", bomb + b"]><a>&a11;</a>", b"\xff\xfe\x00", b""):
        found = read(jpeg(xmp=given)) if given else read(jpeg())
        assert (found.keywords, found.size) == ((), (8, 8))


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        (("N", (48.0, 51.0, 30.24), "E", (2.0, 17.0, 40.2)), (48.8584, 2.2945)),
        (("S", (33.0, 51.0, 0.0), "W", (70.0, 40.0, 0.0)), (-33.85, -70.6666667)),
        (("N", (0.0, 0.0, 0.0), "E", (0.0, 0.0, 0.0)), None),
        (("N", (91.0, 0.0, 0.0), "E", (2.0, 0.0, 0.0)), None),
        (("N", (48.0, 51.0), "E", (2.0, 17.0)), None),
    ],
)
def test_where_a_photo_was_taken(
    read: Callable[[bytes], Picture], tags: tuple[Any, ...], wanted: tuple[float, float] | None
) -> None:
    assert read(placed(*tags)).location == wanted


def test_a_photo_that_says_nothing_has_no_keywords_and_no_place(read: Callable[[bytes], Picture]) -> None:
    found = read(jpeg())
    assert (found.keywords, found.location) == ((), None)
