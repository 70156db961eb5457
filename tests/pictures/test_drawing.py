"""Pictures of hits: boxes at the right place, small objects enlarged, and a page for a photo that is gone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from sorce.errors import BadPhoto, SorceError
from sorce.mappings import Box, Hit, Match
from sorce.pictures import drawing as draw
from sorce.pictures import marks
from sorce.pictures.drawing import Drawn, marked, save
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.marks import COLOURS, LINES, place_labels
from sorce.pictures.sheet import cell, enlarged
from sorce.pictures.uris import path_of


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
    drawn = save([hit("a.png", box, size=size)], tmp_path / "out", tmp_path, ["title"])
    assert (len(drawn.files), len(drawn.sheets), drawn.missing) == (1, 1, ())


def test_a_box_is_enlarged_in_the_middle() -> None:
    photo = Image.new("RGB", (800, 600), "blue")
    photo.paste("yellow", (300, 200, 340, 240))
    box = Box(300, 200, 340, 240)
    crop = enlarged(photo, hit("a.jpg", box), box, 180, "#ff2d55")
    assert crop.size == (180, 180)
    assert crop.getpixel((90, 90)) == (255, 255, 0)
    assert crop.getpixel((5, 90)) == (0, 0, 255)


def test_each_hit_is_a_picture_and_all_are_on_the_sheet(tmp_path: Path) -> None:
    found = []
    for number in range(3):
        file = tmp_path / f"{number}.png"
        Image.new("RGB", (800, 600), "green").save(file)
        found.append(hit(file.as_uri(), Box(10, 10, 60, 60), Box(100, 100, 200, 200)))
    written = save(found, tmp_path / "out", None, ["a kite", "a dog"])
    assert [file.name for file in written.files] == ["01-0.jpg", "02-1.jpg", "03-2.jpg"]
    assert [file.name for file in written.sheets] == ["sheet.jpg"]
    assert (written.missing, written.warning) == ((), None)
    with Image.open(written.files[0]) as drawn:
        assert drawn.size == (800, 600)


def test_what_is_known_to_be_right_is_outlined_in_white(tmp_path: Path) -> None:
    Image.new("RGB", (1600, 1200), "green").save(tmp_path / "a.png")
    # The photo has grown since it was indexed: boxes are in pixels of the indexed size.
    found = hit((tmp_path / "a.png").as_uri(), Box(10, 10, 60, 60))
    truth = {"id": [Box(300, 200, 400, 300)], "other": []}
    [photo] = save([found], tmp_path / "out", None, ["a kite"], truth).files
    with Image.open(photo) as drawn:
        seen = pixels(drawn)
    assert (seen[500, 580:600].min(axis=1) > 200).any()
    assert (seen[500, 620:780, 0] < 60).all()


def test_a_photo_that_is_gone_is_a_page_that_says_so(tmp_path: Path) -> None:
    written = save([hit("file:///nowhere/a.jpg", Box(10, 10, 60, 60))], tmp_path, None, ["a kite"])
    with Image.open(written.files[0]) as drawn:
        page = pixels(drawn)
    assert page.shape == (600, 800, 3)
    assert np.abs(page[500:, :] - 0x77).max() < 10


def pages(hits: Sequence[Hit], folder: Path, root: Path | None) -> list[bool]:
    """Whether a grey page is drawn for a hit; all photos are green."""
    drawn = []
    for file in save(hits, folder, root, ["a kite"]).files:
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
    huge = hit("gone.png", Box(1, 1, 9, 9), size=(1_000_000, 1_000_000))
    written = save([huge], tmp_path / "out", tmp_path, ["a kite"])
    with Image.open(written.files[0]) as page:
        assert page.size == (2000, 2000)


@pytest.mark.parametrize("uri", ["a.png", "gone.png"])
def test_a_photo_whose_size_the_index_does_not_know_is_drawn(tmp_path: Path, uri: str) -> None:
    Image.new("RGB", (80, 60), "green").save(tmp_path / "a.png")
    assert len(save([hit(uri, Box(0, 0, 8, 6), size=(0, 0))], tmp_path / "out", tmp_path, ["title"]).files) == 1


def test_nothing_found_is_an_empty_sheet(tmp_path: Path) -> None:
    assert save([], tmp_path, None, ["a kite"]) == Drawn((), (tmp_path / "sheet.jpg",), ())


def test_a_photo_s_place(tmp_path: Path) -> None:
    assert path_of("file:///a%20b/c.jpg", None) == Path("/a b/c.jpg")
    assert path_of("x/y%20z.jpg", tmp_path) == tmp_path / "x" / "y z.jpg"


@pytest.mark.parametrize("uri", ["../a.jpg", "x/../../a.jpg", "%2E%2E/a.jpg", "/etc/passwd"])
def test_no_place_outside_the_root(tmp_path: Path, uri: str) -> None:
    with pytest.raises(BadPhoto, match="outside the root"):
        path_of(uri, tmp_path)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A green photo of 80 x 60 pixels."""
    Image.new("RGB", (80, 60), "green").save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.fault("6.7.1")
@pytest.mark.parametrize("size", [(8160, 6120), pytest.param((12_000, 12_000), marks=pytest.mark.long), (70_000, 2)])
def test_a_box_as_long_as_any_camera_s_photo_is_drawn(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("1", size).save(tmp_path / "large.png")
    drawn = save([hit("large.png", Box(0, 0, *size), size=size)], tmp_path / "out", tmp_path, ["a kite"])
    assert drawn.missing == ()
    with Image.open(drawn.files[0]) as image:
        assert max(image.size) <= 16_000


@pytest.mark.fault("6.8.1")
def test_photos_that_cannot_be_opened_are_named_with_the_reason(photo: Path, tmp_path: Path) -> None:
    uris = [photo.as_uri(), *((tmp_path / f"gone{number}\x1b.png").as_uri() for number in range(5))]
    drawn = save([hit(uri, Box(1, 1, 9, 9), size=(80, 60)) for uri in uris], tmp_path / "out", None, ["a kite"])
    assert [reject.path for reject in drawn.missing] == uris[1:]
    assert {reject.reason for reject in drawn.missing} == {"cannot be read (No such file or directory)"}
    assert drawn.warning is not None
    assert drawn.warning.startswith(
        f"5 of 6 photos could not be opened and are grey: {uris[1]} cannot be read (No such"
    )
    assert drawn.warning.endswith("; and 2 more")
    assert drawn.warning.isprintable()


@pytest.mark.fault("6.8.2")
@pytest.mark.parametrize("folder", ["/proc/nope", "/dev/null/x", "/proc/self/environ"])
def test_a_folder_that_cannot_be_written_to_is_one_sentence(folder: str, photo: Path) -> None:
    found = hit(photo.as_uri(), Box(1, 1, 9, 9), size=(80, 60))
    with pytest.raises(SorceError, match=rf"^'{folder}' cannot be written to \(.+\); name a folder that can\.$"):
        save([found], Path(folder), None, ["a kite"])


@pytest.mark.fault("6.8.3")
@pytest.mark.parametrize(
    "name", ["a\0b.jpg", "\N{SNOWMAN}\N{KITE}" * 80, "..", "", "a\nb\x1b[2J", "x/y\\z", "\ud800.jpg", "." * 300]
)
def test_any_name_of_a_photo_becomes_one_of_a_file(name: str, photo: Path, tmp_path: Path) -> None:
    found = replace(hit(photo.as_uri(), Box(1, 1, 9, 9), size=(80, 60)), file_name=name)
    [file] = save([found], tmp_path / "out", None, ["a\0kite"]).files
    assert file.is_file()
    assert file.parent == tmp_path / "out"
    assert len(os.fsencode(file.name)) <= 255
    assert file.name.isprintable()


def areas(hits: Hit, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float, float, float]]:
    """Where the labels of a drawn photo are."""
    found: list[tuple[float, float, float, float]] = []

    def noting(*arguments: Any) -> list[tuple[float, float, float, float]]:
        found.extend(place_labels(*arguments))
        return found

    monkeypatch.setattr(marks, "place_labels", noting)
    marked(photo, hits, 12)
    return found


@pytest.mark.fault("12.3.1")
@pytest.mark.parametrize("size", [(60, 45), (320, 200), (45, 90), (4000, 3000)])
@pytest.mark.parametrize("spread", [0, 0.02, 0.1])
def test_labels_cover_neither_each_other_nor_the_edge(
    size: tuple[int, int], spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three boxes for each of two phrases, in one corner."""
    width, height = size
    boxes = [
        Box(
            width * each * spread, height * each * spread, width * (0.2 + each * spread), height * (0.3 + each * spread)
        )
        for each in range(6)
    ]
    found = replace(
        hit("a.jpg", size=size),
        matches=tuple(tuple(Match(1, box, "tile", 0.01, 1.0, 0.3) for box in boxes[at::2]) for at in range(2)),
    )
    placed = areas(found, Image.new("RGB", size), monkeypatch)
    assert len(placed) == 6
    scale = max(1, 640 / max(size))
    for left, top, right, bottom in placed:
        assert 0 <= left < right <= width * scale + 1
        assert 0 <= top < bottom <= height * scale + 1
    for one, other in combinations(placed, 2):
        assert min(one[2], other[2]) <= max(one[0], other[0]) or min(one[3], other[3]) <= max(one[1], other[1])


@pytest.mark.fault("12.3.2")
@pytest.mark.parametrize("box", [Box(0, 0, 40, 40), Box(760, 560, 800, 600), Box(0, 280, 30, 320), Box(0, 0, 800, 600)])
def test_an_enlarged_box_shows_nothing_but_the_photo(box: Box) -> None:
    photo = Image.new("RGB", (800, 600), "yellow")
    crop = pixels(enlarged(photo, hit("a.jpg", box), box, 180, "#ff2d55"))
    dark = (crop.sum(axis=2) < 60).mean()
    # The lines around the box.
    assert dark < 0.15
    assert (np.abs(crop - [255, 255, 0]).sum(axis=2) < 30).mean() > 0.4


@pytest.mark.fault("12.3.3")
def test_each_phrase_has_its_colour_in_the_crops_and_in_the_title(tmp_path: Path) -> None:
    Image.new("RGB", (800, 600), "black").save(tmp_path / "a.png")
    boxes = [Box(100 * at + 10, 100, 100 * at + 60, 150) for at in range(4)]
    drawn = save([hit("a.png", *boxes)], tmp_path / "out", tmp_path, ["a kite", "a dog", "a key", "a cup"])
    with Image.open(drawn.sheets[0]) as image:
        page = pixels(image)
    for colour in COLOURS:
        near = np.abs(page - ImageColor.getrgb(colour)).sum(axis=2) < 90
        # A square behind the phrase's letter in the title, and another one in its crop.
        assert near[:40].sum() > 200, colour
        assert near[40:, 494:].sum() > 300, colour


@pytest.mark.fault("12.3.4")
def test_labels_of_several_phrases_bear_their_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(marks, "place_labels", lambda _, labels, line: said.extend(each.text for each in labels))  # noqa: ARG005
    marked(Image.new("RGB", (800, 600)), hit("a.jpg", Box(1, 1, 9, 9), Box(50, 50, 90, 90)), 3)
    assert sorted(said) == ["3a: 0.30", "3b: 0.30"]
    said.clear()
    marked(Image.new("RGB", (800, 600)), hit("a.jpg", Box(1, 1, 9, 9)), 3)
    assert said == ["3: 0.30"]


@pytest.mark.fault("6.s.28")
def test_more_hits_than_fit_on_a_page_are_on_several(photo: Path, tmp_path: Path) -> None:
    found = [hit(photo.as_uri(), Box(1, 1, 9, 9), size=(80, 60))] * 101
    drawn = save(found, tmp_path / "out", None, ["a kite"])
    assert [file.name for file in drawn.sheets] == ["sheet.jpg", "sheet-2.jpg"]
    assert len(drawn.files) == 101


@pytest.mark.fault("12.s.3")
def test_a_drawing_has_the_rank_of_its_photo_on_later_pages_too(photo: Path, tmp_path: Path) -> None:
    """Before, the table of `--from 20` began with 21, and the drawings with 1."""
    found = [hit(photo.as_uri(), Box(1, 1, 9, 9), size=(80, 60))] * 2
    drawn = save(found, tmp_path / "out", None, ["a kite"], left_out=20)
    assert [file.name[:3] for file in drawn.files] == ["21-", "22-"]


@pytest.mark.fault("6.s.29")
@pytest.mark.parametrize("box", [Box(-500, -500, -400, -400), Box(900, 700, 9000, 7000), Box(0, 0, 1e9, 1e9)])
def test_a_box_that_is_not_in_the_photo_is_drawn_where_it_can_be(box: Box) -> None:
    photo = Image.new("RGB", (800, 600), "yellow")
    assert cell(photo, hit("a.jpg", box), 1).size == (854, 382)
    assert marked(photo, hit("a.jpg", box), 1).size == (800, 600)
