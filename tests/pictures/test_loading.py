"""Pixels and sizes are those of the upright photo, as a person sees it."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from sorce.errors import BadPhoto
from sorce.pictures.loading import open_picture
from tests.kit.pictures import with_plain_text, with_profile, with_text

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)

# Where the corners of the upright photo are in a file of each EXIF orientation: the picture as the sensor saw it.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def quarters(width: int = 64, height: int = 32) -> Image.Image:
    """Red, green, blue and white from the upper left, row by row."""
    photo = Image.new("RGB", (width, height), WHITE)
    photo.paste(RED, (0, 0, width // 2, height // 2))
    photo.paste(GREEN, (width // 2, 0, width, height // 2))
    photo.paste(BLUE, (0, height // 2, width // 2, height))
    return photo


def corners(photo: Image.Image) -> list[tuple[int, int, int]]:
    """The colours of the four quarters, rounded as JPEG needs it."""
    near, far = 0.25, 0.75
    places = [(near, near), (far, near), (near, far), (far, far)]
    pixels = [photo.getpixel((int(x * photo.width), int(y * photo.height))) for x, y in places]
    return [tuple(255 * round(channel / 255) for channel in pixel) for pixel in pixels]  # type: ignore[misc, union-attr]


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp", "avif"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_every_turn_of_exif_is_undone(tmp_path: Path, kind: str, orientation: int) -> None:
    turn = STORED_AS[orientation]
    stored = quarters() if turn is None else quarters().transpose(turn)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = tmp_path / f"turned.{kind}"
    stored.save(file, exif=exif)

    photo = open_picture(file).image

    assert photo.size == (64, 32)
    assert corners(photo) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white(tmp_path: Path, mode: str) -> None:
    layer = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    layer.paste((0, 0, 0, 255), (0, 0, 4, 8))
    file = tmp_path / "layer.png"
    layer.convert(mode).save(file)

    photo = open_picture(file).image

    assert (photo.mode, photo.getpixel((0, 0)), photo.getpixel((7, 0))) == ("RGB", (0, 0, 0), WHITE)


def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path) -> None:
    file = tmp_path / "half.png"
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(file)
    assert open_picture(file).image.getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"deep.{kind}"
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(file)
    assert np.asarray(open_picture(file).image)[0, :, 0].tolist() == [0, 100, 255]


def test_32_bit_fractions_are_scaled(tmp_path: Path) -> None:
    file = tmp_path / "fractions.tif"
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(file)
    assert np.asarray(open_picture(file).image)[0, :, 0].tolist() == [0, 128, 255]


def test_32_bit_numbers_beyond_1_span_their_own_range_and_nan_is_black(tmp_path: Path) -> None:
    file = tmp_path / "heights.tif"
    Image.fromarray(np.array([[0, 500, 1000, np.nan]], np.float32)).save(file)
    assert np.asarray(open_picture(file).image)[0, :, 0].tolist() == [0, 128, 255, 0]


def test_cmyk_1_bit_and_palettes_become_rgb(tmp_path: Path) -> None:
    for mode, kind in [("CMYK", "jpg"), ("CMYK", "tif"), ("1", "png"), ("P", "png"), ("L", "bmp"), ("YCbCr", "tif")]:
        file = tmp_path / f"{mode}.{kind}"
        Image.new("RGB", (8, 8), WHITE).convert(mode).save(file)
        photo = open_picture(file).image
        assert (photo.mode, photo.getpixel((4, 4))) == ("RGB", WHITE), mode


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tif"])
def test_an_animation_or_a_file_of_pages_is_its_first_picture(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"many.{kind}"
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    lossless = {"lossless": True} if kind == "webp" else {}
    frames[0].save(file, save_all=True, append_images=frames[1:], **lossless)
    assert open_picture(file).image.getpixel((4, 4)) == RED


@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (2, 5000)])
def test_extreme_shapes_keep_their_size(tmp_path: Path, size: tuple[int, int]) -> None:
    file = tmp_path / "extreme.png"
    Image.new("RGB", size, RED).save(file)
    assert open_picture(file).image.size == size


@pytest.mark.filterwarnings("ignore:.*EXIF")
def test_a_broken_exif_leaves_the_photo_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "broken.jpg"
    quarters().save(file, exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40)
    assert corners(open_picture(file).image) == [RED, GREEN, BLUE, WHITE]


def bomb() -> bytes:
    """A PNG that says it has 30,000 x 30,000 pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((200, 200), 50).convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"dear diary, this is no picture", "is not a picture, or of a kind that is not read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture, or of a kind that is not read"),
        (jpeg()[:4000], "is cut short"),
        (bomb(), "has too many pixels; at most 180,000,000 are read"),
    ],
)
def test_what_is_no_photo_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "bad.jpg"
    file.write_bytes(content)
    with pytest.raises(BadPhoto) as caught:
        open_picture(file)
    assert str(caught.value) == reason


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp", "gif", "bmp", "avif"])
def test_a_file_cut_anywhere_is_a_bad_photo_or_still_a_photo(tmp_path: Path, kind: str) -> None:
    whole = tmp_path / f"whole.{kind}"
    Image.effect_noise((64, 64), 50).convert("RGB").save(whole)
    content = whole.read_bytes()
    cut = tmp_path / f"cut.{kind}"
    for size in range(0, len(content) - 1, max(1, len(content) // 40)):
        cut.write_bytes(content[:size])
        with suppress(BadPhoto):
            assert open_picture(cut).image.size == (64, 64)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadPhoto, match=r"^cannot be read \(No such file or directory\)$"):
        open_picture(tmp_path / "none.jpg")


@pytest.mark.fault("6.1.1")
@pytest.mark.parametrize("content", [with_text(5_000_000), with_plain_text(5_000_000)], ids=["packed", "plain"])
def test_a_png_with_megabytes_of_text_is_read_in_this_process_too(content: bytes, tmp_path: Path) -> None:
    """As `sorce evaluate` reads it."""
    (tmp_path / "a.png").write_bytes(content)
    assert corners(open_picture(tmp_path / "a.png").image) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.fault("6.1.2")
def test_a_png_with_megabytes_of_colour_profile_is_read_in_this_process_too(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(with_profile(5_000_000))
    assert corners(open_picture(tmp_path / "a.png").image) == [RED, GREEN, BLUE, WHITE]
