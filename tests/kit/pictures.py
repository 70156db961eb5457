"""Bad and odd pictures, made of nothing: what each is, and what must become of it."""

from __future__ import annotations

import io
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

Colour = tuple[int, int, int]
Samples = NDArray[np.uint16]

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
QUARTERS = (RED, GREEN, BLUE, WHITE)
SIZE = (64, 32)

# Where the corners of the upright photo lie in a file of each orientation: what the camera's sensor saw.
STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

NO_PICTURE = r"is not a picture, or of a kind that is not read"
DAMAGED = r"is damaged, or of a kind that is not read \(.+\)"
CUT = r"is cut short"
MEMORY = r"needs more than .* GB of memory to open, which is the limit"
SLOW = r"takes more than \d+ s to open, which is the limit"
TOO_LONG = r"has more than 64 MB of text or colour profile, which is the limit"
TOO_MANY = r"has too many pixels; at most 180,000,000 are read"


@dataclass(frozen=True)
class Kind:
    """`make` writes it at a path. It has these quarters (upright) and this size, or else is rejected for a reason."""

    name: str
    file: str
    make: Callable[[Path], object]
    quarters: tuple[Colour, ...] = QUARTERS
    size: tuple[int, int] = SIZE
    tolerance: int = 2
    reason: str | None = None
    fault: pytest.MarkDecorator | None = None

    @property
    def param(self) -> Any:
        """For `pytest.mark.parametrize`."""
        return pytest.param(self, id=self.name, marks=[self.fault] if self.fault else [])

    @property
    def is_costly(self) -> bool:
        """What is wrong with it is the time or the memory that it takes."""
        return self.reason is not None and self.reason in (SLOW, MEMORY)


def quarters(size: tuple[int, int] = SIZE, colours: tuple[Colour, ...] = QUARTERS) -> Image.Image:
    """From the upper left, row by row."""
    width, height = size
    photo = Image.new("RGB", size, colours[3])
    photo.paste(colours[0], (0, 0, width // 2, height // 2))
    photo.paste(colours[1], (width // 2, 0, width, height // 2))
    photo.paste(colours[2], (0, height // 2, width // 2, height))
    return photo


def saved(mode: str = "RGB", **options: Any) -> Callable[[Path], object]:
    return lambda path: quarters().convert(mode).save(path, **options)


def content(kind: str, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    stream = io.BytesIO()
    quarters(size).save(stream, kind, **options)
    return stream.getvalue()


def written(what: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(what)


def noise(kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((200, 200), 90).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


def cut(kind: str, share: float, **options: Any) -> Callable[[Path], object]:
    whole = noise(kind, **options)
    return written(whole[: int(len(whole) * share)])


def turned(orientation: int) -> Callable[[Path], object]:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return lambda path: quarters().transpose(STORED_AS[orientation]).save(path, exif=exif)


def odd() -> Iterator[Kind]:
    """Those that are photos all the same."""
    yield Kind("plain JPEG", "plain.jpg", saved(quality=95))
    yield Kind("progressive JPEG", "progressive.jpg", saved(progressive=True, quality=95))
    yield Kind("grey JPEG", "grey.jpg", lambda path: grey().save(path, quality=95), GREYS)
    yield Kind("CMYK JPEG", "cmyk.jpg", saved("CMYK", quality=95))
    yield Kind("CMYK TIFF", "cmyk.tif", saved("CMYK"))
    yield Kind("YCbCr TIFF", "ycc.tif", saved("YCbCr"))
    yield Kind("LAB TIFF", "lab.tif", lab, tolerance=25)
    yield Kind("LZW TIFF", "lzw.tif", saved(compression="tiff_lzw"))
    yield Kind("LA PNG", "la.png", lambda path: transparent("LA").save(path), (BLACK, WHITE) * 2)
    yield Kind("RGBA PNG", "rgba.png", lambda path: transparent("RGBA").save(path), (BLACK, WHITE) * 2)
    yield Kind("RGBA WebP", "rgba.webp", lambda path: transparent("RGBA").save(path, lossless=True), (BLACK, WHITE) * 2)
    yield Kind("P with transparency, PNG", "p.png", lambda path: palette().save(path, transparency=0), TRANSPARENT_RED)
    yield Kind("P with transparency, GIF", "p.gif", lambda path: palette().save(path, transparency=0), TRANSPARENT_RED)
    yield Kind("16-bit grey PNG", "deep.png", lambda path: deep(np.uint16, 257).save(path), GREYS)
    yield Kind("16-bit grey TIFF", "deep.tif", lambda path: deep(np.uint16, 257).save(path), GREYS)
    yield Kind("32-bit integer TIFF", "integer.tif", lambda path: deep(np.int32, 257).save(path), GREYS)
    yield Kind("32-bit float TIFF", "float.tif", lambda path: deep(np.float32, 1 / 255).save(path), GREYS)
    yield Kind("1-bit PNG", "bit.png", lambda path: bits().save(path), (BLACK, WHITE) * 2)
    yield Kind("1-bit TIFF", "bit.tif", lambda path: bits().save(path, compression="group4"), (BLACK, WHITE) * 2)
    yield Kind("interlaced PNG", "interlaced.png", written(interlaced(quarters())))
    for kind in ("gif", "webp", "png", "tif"):
        lossless = {"lossless": True} if kind == "webp" else {}
        name = {"png": "APNG", "tif": "TIFF of pages"}.get(kind, f"animated {kind.upper()}")
        yield Kind(name, f"many.{kind}", frames(save_all=True, **lossless))
    yield Kind("MPO of two", "two.mpo", frames(save_all=True, format="MPO", quality=95))
    for orientation in STORED_AS:
        for kind in ("jpg", "png", "tif"):
            yield Kind(f"EXIF turn {orientation}, {kind}", f"turn{orientation}.{kind}", turned(orientation))
    yield Kind("EXIF turn of no meaning", "turn99.jpg", lambda path: quarters().save(path, exif=orientation_tag(99)))
    yield Kind("broken EXIF", "exif.jpg", saved(exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40, quality=95))
    yield Kind("huge EXIF, JPEG", "maker.jpg", lambda path: quarters().save(path, exif=huge(60_000), quality=95))
    yield Kind("huge EXIF, PNG", "maker.png", lambda path: quarters().save(path, exif=huge(8_000_000)))
    yield Kind("long text in PNG", "text.png", written(with_text(5_000_000)))
    yield Kind("long plain text in PNG", "plain-text.png", written(with_plain_text(5_000_000)))
    yield Kind("long international text in PNG", "utf8-text.png", written(with_international_text(5_000_000)))
    yield Kind("long ICC profile in PNG", "profile.png", written(with_profile(5_000_000)))
    yield from deep_grey()
    yield from deep_colours()
    yield from planes_apart()
    yield Kind("ICC profile", "icc.jpg", lambda path: quarters().save(path, icc_profile=srgb(), quality=95))
    yield Kind("broken ICC profile", "noicc.jpg", saved(icc_profile=b"\0\1\2" * 50, quality=95))
    yield Kind("AVIF", "plain.avif", saved(quality=95))
    yield Kind("JPEG 2000", "plain.jp2", saved())
    yield Kind("BMP", "plain.bmp", saved())
    yield Kind("TGA", "plain.tga", saved())
    yield Kind("PPM", "plain.ppm", saved())
    yield Kind("wrong suffix", "a-png.jpg", written(content("PNG")))
    yield Kind("suffix in capitals", "CAPITALS.JPEG", written(content("JPEG", quality=95)))
    yield Kind("bytes after its end", "tail.jpg", written(content("JPEG", quality=95) + b"more" * 1000))
    yield Kind("odd name", "été #1%20\n?.png", written(content("PNG")))
    yield Kind("1 x 1", "one.png", lambda path: Image.new("RGB", (1, 1), RED).save(path), (RED,) * 4, (1, 1))
    for size in ((30_000, 2), (2, 30_000)):
        name = f"{size[0]:,} x {size[1]:,}"
        yield Kind(name, f"{size[0]}.png", written(content("PNG", size)), size=size)
    yield Kind("link to a photo", "link.png", linked)
    yield Kind("folder named like a photo", "folder.jpg/inside.png", written(content("PNG")))


def deep_grey() -> Iterator[Kind]:
    """Of 16 bits, of which a part is used."""
    for bits in (10, 12, 14):
        yield Kind(
            f"{bits} bits of grey in a PNG of 16",
            f"g{bits}.png",
            written(deep_png(grey_of(bits), 0)),
            GREYS,
            fault=DEEP_GREY[bits],
        )
        for order in "<>":
            tiff = Tiff(order=order, photometric=1)(grey_of(bits))
            yield Kind(
                f"{bits} bits of grey in a TIFF of 16, {order}",
                f"g{bits}{order}.tif",
                written(tiff),
                GREYS,
                fault=DEEP_GREY[bits],
            )
    signed = Tiff(photometric=1, sample_format=2)(grey_of(12))
    yield Kind("12 bits of grey in a TIFF of 16 with signs", "signed.tif", written(signed), GREYS)
    yield Kind(
        "12 bits of grey in an integer TIFF", "int12.tif", lambda path: deep(np.int32, 4095 / 255).save(path), GREYS
    )
    # Dark, but the file says that it has 12 bits, or that its brightest is 4095.
    declared = Tiff(photometric=1, declared=12)(grey_of(8))
    yield Kind(
        "8 of the 12 bits that a TIFF declares", "declared.tif", written(declared), DARK, tolerance=1, fault=DECLARED
    )
    lines = grey_of(8).astype(">u2").tobytes()
    pgm = b"P5 %d %d 4095\n" % SIZE + lines
    yield Kind("8 of the 12 bits that a PGM declares", "declared.pgm", written(pgm), DARK, tolerance=1)


def deep_colours() -> Iterator[Kind]:
    """Of 16 bits, of which a part is used."""
    for bits in (8, 10, 12, 14, 16):
        yield Kind(
            f"{bits} bits of colour in a PNG of 16",
            f"c{bits}.png",
            written(deep_png(coloured(bits), 2)),
            fault=DEEP_COLOURS if bits < 16 else None,
        )
        tiff = Tiff(order=">")(coloured(bits))
        yield Kind(
            f"{bits} bits of colour in a TIFF of 16",
            f"c{bits}.tif",
            written(tiff),
            fault=DEEP_COLOURS if bits < 16 else None,
        )
    deflated = Tiff(deflated=True)(coloured(12))
    yield Kind("12 bits of colour in a deflated TIFF of 16", "deflated.tif", written(deflated))
    for alpha in (4095, 65535):
        layer = deep_png(coloured(12, alpha), 6)
        yield Kind(f"12 bits of colour, {alpha} of alpha", f"alpha{alpha}.png", written(layer))
    grey_and_alpha = np.dstack([grey_of(12), np.full((SIZE[1], SIZE[0]), 65535, np.uint16)])
    yield Kind("12 bits of grey with alpha", "la12.png", written(deep_png(grey_and_alpha, 4)), GREYS, tolerance=16)


def planes_apart() -> Iterator[Kind]:
    for order in "<>":
        for deflated in (False, True):
            how = f"{order}, {'deflated' if deflated else 'plain'}"
            file = f"apart{ord(order)}{deflated}"
            tiff = Tiff(apart=True, order=order, deflated=deflated)
            yield Kind(
                f"TIFF of 16 bits, planes apart, {how}",
                f"{file}.tif",
                written(tiff(coloured(16))),
                fault=PLANES_APART if not deflated else None,
            )
            layer = tiff(coloured(16, 65535))
            yield Kind(
                f"TIFF of 16 bits, planes apart, alpha, {how}",
                f"{file}a.tif",
                written(layer),
                fault=PLANES_APART if not deflated else None,
            )
        dark = Tiff(apart=True, order=order)(coloured(12))
        yield Kind(f"TIFF of 12 in 16 bits, planes apart, {order}", f"apart12{ord(order)}.tif", written(dark))


def bad() -> Iterator[Kind]:
    """Those that are none, or not to be had."""
    yield _bad("empty", "empty.jpg", written(b""), "is empty")
    for share in (0.02, 0.3, 0.6, 0.95):
        yield _bad(f"JPEG cut at {share:.0%}", f"cut{share}.jpg", cut("JPEG", share), f"{CUT}|{DAMAGED}|{NO_PICTURE}")
    for kind, options in {"PNG": {}, "GIF": {}, "WEBP": {"lossless": True}, "TIFF": {}, "BMP": {}, "AVIF": {}}.items():
        yield _bad(f"{kind} cut", f"cut.{kind.lower()}", cut(kind, 0.6, **options), f"{CUT}|{DAMAGED}|{NO_PICTURE}")
    yield _bad("flipped bits in PNG", "flipped.png", written(flipped(noise("PNG"))), f"{DAMAGED}|{CUT}")
    yield _bad("text named .jpg", "text.jpg", written(b"dear diary, this is no picture"), NO_PICTURE)
    yield _bad("web page named .jpg", "page.jpg", written(b"<!doctype html><h1>404</h1>"), NO_PICTURE)
    yield _bad("SVG named .png", "vector.png", written(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), NO_PICTURE)
    yield _bad("EPS named .jpg", "eps.jpg", written(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), NO_PICTURE)
    yield _bad("PDF named .jpg", "pdf.jpg", written(b"%PDF-1.7\n1 0 obj\n"), NO_PICTURE)
    yield _bad("archive named .jpg", "zip.jpg", archive, NO_PICTURE)
    yield _bad("zeros named .jpg", "zeros.jpg", written(bytes(100_000)), NO_PICTURE)
    yield _bad("random bytes", "random.jpg", written(np.random.default_rng(1).bytes(100_000)), NO_PICTURE)
    yield _bad("bomb by its header", "bomb.png", written(png(30_000, 30_000, b"")), TOO_MANY)
    yield _bad(
        "bomb of 1-bit pixels", "bits.png", written(png(13_000, 13_000, zeros(13_000), depth=1)), MEMORY, MEMORY_LIMIT
    )
    # Newer versions of Pillow leave such tags out.
    yield _bad("bomb of tags", "tags.tif", written(tag_bomb()), f"{MEMORY}|{NO_PICTURE}")
    yield _bad(
        "JPEG of 20,000 scans",
        "scans.jpg",
        written(many_scans(20_000)),
        SLOW,
    )
    yield _bad("too much text in PNG", "texts.png", written(with_text(1_000_000, 70)), TOO_LONG, TEXT_LIMIT)
    yield _bad("too long a text in PNG", "long.png", written(with_text(70_000_000)), TOO_LONG, TEXT_LIMIT)
    yield _bad(
        "too long an ICC profile in PNG", "long-icc.png", written(with_profile(70_000_000)), TOO_LONG, TEXT_LIMIT
    )
    cmyk = np.asarray(quarters().convert("CMYK"), np.uint16) * 257
    yield _bad("CMYK of 16 bits, planes apart", "cmyk16.tif", written(Tiff(True, photometric=5)(cmyk)), DAMAGED)
    lab = Tiff(True, photometric=8, declared=8)(np.zeros((8, 8, 3), np.uint16))
    yield _bad(
        "LAB, planes apart", "lab-apart.tif", written(lab), r"is a TIFF of LAB colours in planes apart, .*", LAB_APART
    )
    yield _bad("0 pixels wide", "zero.png", written(png(0, 10, b"")), f"has 0 x 10 pixels.*|{DAMAGED}|{NO_PICTURE}")
    yield _bad(
        "GIF of 0 pixels", "zero.gif", written(b"GIF89a" + bytes(7) + b";"), f"has 0 x 0.*|{DAMAGED}|{NO_PICTURE}"
    )
    yield _bad("dangling link", "dangling.jpg", lambda path: path.symlink_to("nowhere.jpg"), missing(2))
    yield _bad("link loop", "loop.jpg", lambda path: path.symlink_to("loop.jpg"), missing(40))
    yield _bad("FIFO", "pipe.jpg", os.mkfifo, "is not a regular file")
    yield _bad("socket", "socket.jpg", listening, "is not a regular file")
    yield _bad("too many bytes", "film.jpg", sparse, "is larger than 512 MB")


def _bad(
    name: str, file: str, make: Callable[[Path], object], reason: str, fault: pytest.MarkDecorator | None = None
) -> Kind:
    return Kind(name, file, make, reason=reason, fault=fault)


GREYS = tuple((level,) * 3 for level in (0, 80, 160, 255))
TEXT_LIMIT, MEMORY_LIMIT = pytest.mark.fault("6.1.3"), pytest.mark.fault("6.s.23")
PLANES_APART, LAB_APART = pytest.mark.fault("6.2.1"), pytest.mark.fault("6.s.22")
DEEP_GREY = {10: pytest.mark.fault("6.3.1"), 12: pytest.mark.fault("6.3.2"), 14: pytest.mark.fault("6.3.3")}
DEEP_COLOURS, DECLARED = pytest.mark.fault("6.s.21"), pytest.mark.fault("6.s.27")
DARK = tuple((level,) * 3 for level in (0, 5, 10, 16))
TRANSPARENT_RED = (WHITE, GREEN, BLUE, WHITE)


def grey() -> Image.Image:
    return quarters(colours=GREYS).convert("L")


def deep(kind: Any, scale: float) -> Image.Image:
    return Image.fromarray((np.asarray(grey()) * np.float64(scale)).astype(kind))


def bits() -> Image.Image:
    return quarters(colours=(BLACK, WHITE) * 2).convert("1")


def transparent(mode: str) -> Image.Image:
    """Black on the left, nothing on the right."""
    layer = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    layer.paste((0, 0, 0, 255), (0, 0, SIZE[0] // 2, SIZE[1]))
    return layer.convert(mode)


def palette() -> Image.Image:
    """The first colour of the palette is red."""
    photo = Image.new("P", SIZE)
    photo.putpalette([*RED, *GREEN, *BLUE, *WHITE])
    numbers = quarters(colours=tuple((number,) * 3 for number in range(4))).convert("L")
    photo.frombytes(numbers.tobytes())
    return photo


def frames(**options: Any) -> Callable[[Path], object]:
    others = [Image.new("RGB", SIZE, BLACK)]
    return lambda path: quarters().save(path, append_images=others, **options)


def orientation_tag(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif


def huge(size: int) -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"m" * size
    return exif


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def linked(path: Path) -> None:
    target = path.with_name("linked.data")
    target.write_bytes(content("PNG"))
    path.symlink_to(target.name)


def flipped(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 20]) + whole[middle + 20 :]


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("photo.jpg", content("JPEG"))


def lab(path: Path) -> None:
    profiles = [ImageCms.createProfile(space) for space in ("sRGB", "LAB")]
    ImageCms.profileToProfile(quarters(), *profiles, outputMode="LAB").save(path)


def listening(path: Path) -> None:
    # By a relative name, since that of a socket may have 100 bytes only.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as film:
        film.truncate((1 << 29) + 1)


def missing(number: int) -> str:
    return rf"cannot be read \({os.strerror(number)}\)"


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, pixels: bytes, depth: int = 8, interlace: int = 0, colours: int | None = None
) -> bytes:
    """`colours` is PNG's colour type: usually RGB with 8 bits, grey with fewer."""
    kind = (2 if depth == 8 else 0) if colours is None else colours
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def zeros(side: int) -> bytes:
    return bytes((1 + (side + 7) // 8) * side)


def interlaced(photo: Image.Image) -> bytes:
    """By Adam7, which Pillow reads and does not write."""
    pixels, lines = np.asarray(photo), b""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, across, down in passes:
        for row in pixels[y::down, x::across]:
            lines += b"\0" + row.tobytes()
    return png(*photo.size, lines, interlace=1)


def with_text(size: int, times: int = 1) -> bytes:
    """A PNG whose compressed comments are long."""
    whole, text = content("PNG"), chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"t" * size))
    return whole[:33] + text * times + whole[33:]


def with_plain_text(size: int) -> bytes:
    whole = content("PNG")
    return whole[:33] + chunk(b"tEXt", b"Comment\0" + b"t" * size) + whole[33:]


def with_international_text(size: int) -> bytes:
    whole, text = content("PNG"), b"Comment\0\1\0\0\0" + zlib.compress(b"t" * size)
    return whole[:33] + chunk(b"iTXt", text) + whole[33:]


def with_profile(size: int) -> bytes:
    """A PNG whose colour profile is long."""
    whole = content("PNG")
    return whole[:33] + chunk(b"iCCP", b"long\0\0" + zlib.compress(srgb() + bytes(size))) + whole[33:]


def deep_png(samples: Samples, colours: int) -> bytes:
    """16 bits a sample, (height, width, channels), of a colour type: 0 grey, 2 RGB, 4 grey and 6 RGB with alpha."""
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return png(samples.shape[1], samples.shape[0], lines, depth=16, colours=colours)


def coloured(bits: int, alpha: int | None = None) -> Samples:
    """The quarters with numbers of so many bits, and with this transparency if any."""
    samples = np.round(np.asarray(quarters(), np.float64) * ((2**bits - 1) / 255)).astype(np.uint16)
    return samples if alpha is None else np.dstack([samples, np.full(samples.shape[:2], alpha, np.uint16)])


def grey_of(bits: int) -> Samples:
    """The grey quarters with numbers of so many bits, (height, width, 1)."""
    return np.round(np.asarray(grey(), np.float64) * ((2**bits - 1) / 255)).astype(np.uint16)[..., None]


@dataclass(frozen=True)
class Tiff:
    """How a TIFF is written.

    `order` is `<` or `>`; `photometric` is 1 for grey, 2 for RGB, 5 for CMYK, 8 for LAB; `declared` is BitsPerSample:
    8, 16, or 12, which packs two samples in three bytes.
    """

    apart: bool = False
    order: str = "<"
    photometric: int = 2
    deflated: bool = False
    rows: int = 5
    declared: int = 16
    sample_format: int = 1

    def __call__(self, samples: Samples) -> bytes:
        height, width, channels = samples.shape
        planes = [samples[..., [channel]] for channel in range(channels)] if self.apart else [samples]
        strips = [self._packed(plane[top : top + self.rows]) for plane in planes for top in range(0, height, self.rows)]
        alpha = channels - {1: 1, 2: 3, 5: 4, 8: 3}[self.photometric]
        tags: dict[int, list[int]] = {
            256: [width],
            257: [height],
            258: [self.declared] * channels,
            259: [8 if self.deflated else 1],
            262: [self.photometric],
            273: [0] * len(strips),
            277: [channels],
            278: [self.rows],
            279: [len(strip) for strip in strips],
            284: [2 if self.apart else 1],
            **({338: [2] * alpha} if alpha else {}),
            339: [self.sample_format] * channels,
        }
        start = 8 + 2 + 12 * len(tags) + 4 + sum(4 * len(values) for values in tags.values() if len(values) > 1)
        tags[273] = list(accumulate(map(len, strips[:-1]), initial=start))
        return self._file(tags) + b"".join(strips)

    def _packed(self, samples: Samples) -> bytes:
        if self.declared == 12:
            pairs = samples.reshape(-1, 2).astype(np.uint32)
            whole = (pairs[:, 0] << 12 | pairs[:, 1]).astype(">u4").tobytes()
            plain = b"".join(whole[at + 1 : at + 4] for at in range(0, len(whole), 4))
        else:
            plain = samples.astype(f"{self.order}u{self.declared // 8}").tobytes()
        return zlib.compress(plain) if self.deflated else plain

    def _file(self, tags: dict[int, list[int]]) -> bytes:
        """All but the pixels. Each value is a LONG; those that are several stand behind the directory."""
        entries, behind, end = b"", b"", 8 + 2 + 12 * len(tags) + 4
        for tag, values in sorted(tags.items()):
            packed = struct.pack(f"{self.order}{len(values)}I", *values)
            place = packed if len(values) == 1 else struct.pack(f"{self.order}I", end + len(behind))
            behind += b"" if len(values) == 1 else packed
            entries += struct.pack(f"{self.order}HHI", tag, 4, len(values)) + place
        magic = {"<": b"II", ">": b"MM"}[self.order] + struct.pack(f"{self.order}HIH", 42, 8, len(tags))
        return magic + entries + bytes(4) + behind


def tag_bomb(tags: int = 2000, size: int = 5_000_000) -> bytes:
    """A TIFF whose tags all are the same megabytes: 10 GB of them."""
    entries = b"".join(struct.pack("<HHII", 40_000 + tag, 7, size, 8 + 2 + 12 * tags + 4) for tag in range(tags))
    return b"II*\0" + struct.pack("<IH", 8, tags) + entries + bytes(4 + size)


def many_scans(times: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    stream = io.BytesIO()
    Image.new("RGB", (3000, 3000), RED).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * times + whole[-2:]
