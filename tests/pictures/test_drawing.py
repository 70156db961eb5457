"""Pictures of what was found: boxes where they belong, small things enlarged, and a page for a photo that is gone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sorce.errors import BadPhoto
from sorce.mappings import Box, Hit, Match
from sorce.pictures import drawing as draw
from sorce.pictures.drawing import LINES, enlarged, marked, path_of, save
from sorce.pictures.limits import DecodeLimits


def hit(uri: str, *boxes: Box, size: tuple[int, int] = (800, 600)) -> Hit:
    matches = tuple((Match(1, box, "tile", 0.01, 1.0, 0.3),) for box in boxes)
    return Hit("id", uri, Path(uri).name, "/photos", *size, 0.3, matches)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), np.int16)


@pytest.mark.parametrize("background", ["white", "black", "#ff2d55", "#808080"])
def test_an_outline_stands_out_on_any_background(background: str) -> None:
    photo = Image.new("RGB", (800, 600), background)
    drawn = marked(photo, hit("a.jpg", Box(300, 200, 400, 300)), 1)
    changed = np.abs(pixels(drawn) - pixels(photo)).sum(axis=2) > 150
    assert changed[250, 285:301].any()
    assert changed[250, 400:415].any()


def test_what_is_in_the_box_stays_to_be_seen() -> None:
    photo = Image.effect_noise((800, 600), 80).convert("RGB")
    drawn = marked(photo, hit("a.jpg", Box(300, 200, 400, 300)), 1)
    assert np.array_equal(pixels(drawn)[200:300, 300:400], pixels(photo)[200:300, 300:400])


def test_a_box_at_the_edge_keeps_its_outline() -> None:
    photo = Image.new("RGB", (800, 600), "white")
    drawn = pixels(marked(photo, hit("a.jpg", Box(0, 0, 800, 600)), 1))
    line = 4 * round(800 / LINES)
    for strip in (drawn[:line, 400], drawn[-line:, 400], drawn[300, :line], drawn[300, -line:]):
        assert (strip.sum(axis=1) < 600).any()


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (16, 16)])
def test_photos_of_any_shape_can_be_drawn(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "green").save(tmp_path / "a.png")
    box = Box(0, 0, *size)
    assert len(save([hit("a.png", box, size=size)], tmp_path / "out", tmp_path, "title")) == 2


def test_a_box_is_enlarged_in_the_middle() -> None:
    photo = Image.new("RGB", (800, 600), "blue")
    photo.paste("yellow", (300, 200, 340, 240))
    crop = enlarged(photo, Box(300, 200, 340, 240), 180, "#ff2d55")
    assert crop.size == (180, 180)
    assert crop.getpixel((90, 90)) == (255, 255, 0)
    assert crop.getpixel((5, 90)) == (0, 0, 255)


def test_each_hit_is_a_picture_and_all_are_on_the_sheet(tmp_path: Path) -> None:
    found = []
    for number in range(3):
        file = tmp_path / f"{number}.png"
        Image.new("RGB", (800, 600), "green").save(file)
        found.append(hit(file.as_uri(), Box(10, 10, 60, 60), Box(100, 100, 200, 200)))
    written = save(found, tmp_path / "out", None, "a kite + a dog")
    assert [file.name for file in written] == ["01-0.jpg", "02-1.jpg", "03-2.jpg", "sheet.jpg"]
    with Image.open(written[0]) as drawn:
        assert drawn.size == (800, 600)


def test_what_is_known_to_be_right_is_outlined_in_white(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 1200), "green").save(tmp_path / "a.png")
    # Of a photo that has grown since it was indexed: boxes are in the pixels of then.
    found = hit((tmp_path / "a.png").as_uri(), Box(10, 10, 60, 60))
    [photo, _] = save([found], tmp_path / "out", None, "a kite", {"id": [Box(300, 200, 400, 300)], "other": []})
    with Image.open(photo) as drawn:
        seen = pixels(drawn)
    assert (seen[500, 580:600].min(axis=1) > 200).any()
    assert (seen[500, 620:780, 0] < 60).all()


def test_a_photo_that_is_gone_is_a_page_that_says_so(tmp_path: Path) -> None:
    written = save([hit("file:///nowhere/a.jpg", Box(10, 10, 60, 60))], tmp_path, None, "a kite")
    with Image.open(written[0]) as drawn:
        page = pixels(drawn)
    assert page.shape == (600, 800, 3)
    assert np.abs(page[500:, :] - 0x77).max() < 10


def pages(hits: Sequence[Hit], folder: Path, root: Path | None) -> list[bool]:
    """Whether a grey page is drawn for a hit; all photos are green."""
    drawn = []
    for file in save(hits, folder, root, "a kite")[:-1]:
        with Image.open(file) as image:
            drawn.append(bool(np.abs(pixels(image)[-1, -1] - 0x77).max() < 10))
    return drawn


def test_no_file_outside_the_root_is_drawn_whatever_the_index_says(tmp_path: Path) -> None:
    root, outside = tmp_path / "photos", tmp_path / "private"
    for folder in (root, outside):
        folder.mkdir()
        Image.new("RGB", (80, 60), "green").save(folder / "a.png")
    (root / "link.png").symlink_to(outside / "a.png")
    (root / "circle.png").symlink_to(root / "circle.png")
    (tmp_path / "alias").symlink_to(root)
    uris = {
        (root / "a.png").as_uri(): False,
        (tmp_path / "alias" / "a.png").as_uri(): False,
        "a.png": False,
        (outside / "a.png").as_uri(): True,
        f"file://{root}/../private/a.png": True,
        f"file://{root}/%2E%2E/private/a.png": True,
        (root / "link.png").as_uri(): True,
        (root / "circle.png").as_uri(): True,
        "../private/a.png": True,
    }
    hits = [hit(uri, Box(1, 1, 9, 9), size=(80, 60)) for uri in uris]
    assert pages(hits, tmp_path / "out", root) == list(uris.values())


def test_what_is_no_regular_file_or_no_picture_is_a_page(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "text.png").write_text("root:x:0:0")
    uris = [
        (tmp_path / "fifo.png").as_uri(),
        (tmp_path / "text.png").as_uri(),
        tmp_path.as_uri(),
        "file:///dev/zero",
        "file://elsewhere.example/a.png",
        "file://[a.png",
        "file:///a%00.png",
    ]
    assert all(pages([hit(uri, Box(1, 1, 9, 9), size=(80, 60)) for uri in uris], tmp_path / "out", None))


def test_a_picture_that_bloats_what_opens_it_is_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "DecodeLimits", lambda: DecodeLimits(memory=1 << 28))
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    Image.new("RGB", (80, 60), "green").save(tmp_path / "a.png")
    uris = [(tmp_path / name).as_uri() for name in ("bomb.png", "a.png")]
    found = [hit(uri, Box(1, 1, 9, 9), size=(80, 60)) for uri in uris]
    assert pages(found, tmp_path / "out", None) == [True, False]


def test_a_page_is_no_larger_than_a_screen_whatever_size_the_index_says(tmp_path: Path) -> None:
    written = save(
        [hit("gone.png", Box(1, 1, 9, 9), size=(1_000_000, 1_000_000))], tmp_path / "out", tmp_path, "a kite"
    )
    with Image.open(written[0]) as page:
        assert page.size == (2000, 2000)


@pytest.mark.parametrize("uri", ["a.png", "gone.png"])
def test_a_photo_whose_size_the_index_does_not_know_is_drawn(tmp_path: Path, uri: str) -> None:
    Image.new("RGB", (80, 60), "green").save(tmp_path / "a.png")
    assert len(save([hit(uri, Box(0, 0, 8, 6), size=(0, 0))], tmp_path / "out", tmp_path, "title")) == 2


def test_nothing_found_is_an_empty_sheet(tmp_path: Path) -> None:
    assert [file.name for file in save([], tmp_path, None, "a kite")] == ["sheet.jpg"]


def test_a_photo_s_place(tmp_path: Path) -> None:
    assert path_of("file:///a%20b/c.jpg", None) == Path("/a b/c.jpg")
    assert path_of("x/y%20z.jpg", tmp_path) == tmp_path / "x" / "y z.jpg"


@pytest.mark.parametrize("uri", ["../a.jpg", "x/../../a.jpg", "%2E%2E/a.jpg", "/etc/passwd"])
def test_no_place_outside_the_root(tmp_path: Path, uri: str) -> None:
    with pytest.raises(BadPhoto, match="outside the root"):
        path_of(uri, tmp_path)
