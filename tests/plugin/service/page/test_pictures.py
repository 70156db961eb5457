"""Pictures by photo id: their sizes, what is never opened, and what the disk keeps."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import numpy as np
import pytest
from opensearchpy import OpenSearch
from PIL import Image

from sorce.errors import PluginError
from sorce.pictures.budget import PixelBudget
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from sorce.plugin.service.page import pictures
from sorce.plugin.service.page.cache import DiskCache
from sorce.plugin.service.page.photos import PhotoPlace
from sorce.plugin.service.page.pictures import JPEG, PhotoPictures, WantedPicture
from sorce.plugin.service.page.pyramid import Levels, Tile, cut
from sorce.plugin.service.page.settings import PageSettings, default_cache
from tests.kit.album import HOSTILE, Album, served_page


def opened(answer: httpx.Response, form: str) -> Image.Image:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == f"image/{form.lower()}"
    image = Image.open(BytesIO(answer.content))
    assert image.format == form
    return image


def colour(image: Image.Image, x: int, y: int) -> list[int]:
    pixel = image.convert("RGB").getpixel((x, y))
    assert isinstance(pixel, tuple)
    return [int(each) for each in pixel]


def test_a_thumbnail_a_view_and_a_crop(page: httpx.Client, album: Album) -> None:
    photo = album.photo("hall/dated.jpg")
    assert opened(page.get(f"/thumb/{photo}?w=1"), "WEBP").size == (64, 32)
    # Not enlarged.
    assert opened(page.get(f"/thumb/{photo}"), "WEBP").size == (80, 40)
    assert opened(page.get(f"/view/{photo}?w=9999"), "JPEG").size == (80, 40)
    crop = opened(page.get(f"/crop/{photo}?box=0,0,20,20&w=100"), "WEBP")
    assert crop.size == (128, 128)
    assert page.get(f"/crop/{photo}?box=0,0,20").status_code == 422
    assert page.get(f"/crop/{photo}?box=90,90,99,99").status_code == 422
    # A box of less than a pixel shows the pixel.
    assert opened(page.get(f"/crop/{photo}?box=0.2,0.2,0.4,0.4&w=64"), "WEBP").size == (64, 64)


@pytest.mark.parametrize(
    "query", ["w=0", "w=-1", "w=nan", "w=1e9", "w=", pytest.param("index=" + 300 * "x", id="index")]
)
def test_what_an_address_asks_wrongly_is_a_sentence(page: httpx.Client, album: Album, query: str) -> None:
    answer = page.get(f"/thumb/{album.photo('hall/dated.jpg')}?{query}")
    name, _, _ = query.partition("=")
    assert (answer.status_code, answer.json()["error"]["message"].startswith(f"{name}: ")) == (422, True)


def test_a_crop_shows_the_box(page: httpx.Client, album: Album) -> None:
    whole = Image.open(album.file("kitchen/2.png"))
    crop = opened(page.get(f"/crop/{album.photo('kitchen/2.png')}?box=40,8,56,24&w=64"), "WEBP")
    assert colour(crop, 32, 32) == pytest.approx(colour(whole, 48, 16), abs=12)


def test_tiles_have_the_photo_s_pixels(page: httpx.Client, album: Album) -> None:
    photo = album.photo("kitchen/2.png")
    said = page.get(f"/tiles/{photo}.json").json()
    assert said == {"width": 64, "height": 64, "tile_size": 512, "overlap": 0, "min_level": 6, "max_level": 6}
    tile = opened(page.get(f"/tiles/{photo}/6/0_0"), "JPEG")
    assert tile.size == (64, 64)
    assert colour(tile, 48, 16) == pytest.approx(colour(Image.open(album.file("kitchen/2.png")), 48, 16), abs=12)
    for missing in ("5/0_0", "6/1_0", "6/-1_0", "99/0_0"):
        assert page.get(f"/tiles/{photo}/{missing}").status_code == 404
    for wrong in ("6/x", "x/0_0", f"{'9' * 5000}/0_0"):
        assert page.get(f"/tiles/{photo}/{wrong}").status_code == 422


@pytest.mark.parametrize("kind", ["thumb", "view", "crop", "tiles"])
def test_nothing_outside_the_roots_is_opened(page: httpx.Client, album: Album, kind: str) -> None:
    more = {"crop": "?box=0,0,9,9", "tiles": "/6/0_0"}.get(kind, "")
    for photo in (*HOSTILE, album.photo("link.png"), "..%2Fsecret.png", "0" * 32, "x" * 2000):
        answer = page.get(f"/{kind}/{photo}{more}")
        assert answer.status_code == 404, photo
        assert answer.headers["Content-Type"] == "application/json"


def test_a_file_that_is_no_picture_is_refused(page: httpx.Client, album: Album) -> None:
    answer = page.get(f"/thumb/{album.photo('text.png')}")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "the photo is not a picture, or of a kind that is not read."


def test_a_browser_that_has_a_picture_gets_it_once(page: httpx.Client, album: Album) -> None:
    address = f"/thumb/{album.photo('kitchen/0.png')}"
    first = page.get(address)
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = page.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert page.get(f"{address}?v=1").headers["Cache-Control"].startswith("private, max-age=")
    assert page.get(f"{address}?w=64").headers["ETag"] != first.headers["ETag"]


def test_a_changed_file_is_another_picture(page: httpx.Client, album: Album) -> None:
    address, file = f"/thumb/{album.photo('hall/5.png')}", album.file("hall/5.png")
    before, content = page.get(address), file.read_bytes()
    Image.new("RGB", (64, 64), "blue").save(file)
    try:
        after = page.get(address)
    finally:
        file.write_bytes(content)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert colour(opened(after, "WEBP"), 9, 9) == pytest.approx([0, 0, 255], abs=12)


def test_without_a_root_no_picture_is_shown(cluster: OpenSearch, album: Album, cache: Path) -> None:
    with served_page(cluster, album, PageSettings(cache=cache, show_paths=True)) as page:
        said = page.get("/api/session").json()
        assert (said["pictures"], said["show_paths"]) == (False, True)
        answer = page.get(f"/thumb/{album.photo('kitchen/0.png')}")
        assert answer.status_code == 404
        assert "--root" in answer.json()["error"]["message"]
        # With show_paths, paths are said.
        hit = page.post("/api/search", json={"phrases": ["red"], "filter": {"camera": "Canon EOS"}}).json()["hits"][0]
        assert hit["uri"] == album.file("hall/dated.jpg").as_uri()
        assert hit["folder"] == str(album.file("hall"))


@pytest.fixture
def alone(tmp_path: Path) -> PhotoPictures:
    """The pictures of a folder, without a service."""
    cache = DiskCache(tmp_path / "cache", 1 << 30)
    return PhotoPictures([tmp_path], cache, DecoderPool(DecodeLimits()), PixelBudget(10_000))


def test_a_large_photo_is_cut_once_and_all_else_is_made_of_its_tiles(
    alone: PhotoPictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LARGE", 1000)
    pixels = np.indices((1100, 1301)).sum(axis=0) % 256
    whole = Image.fromarray(np.stack([pixels, 255 - pixels, pixels // 2], axis=2).astype(np.uint8))
    whole.save(tmp_path / "large.png")
    file = alone.file(PhotoPlace("large.png", 1301, 1100))
    view = Image.open(BytesIO(alone.made(file, WantedPicture(512, JPEG))))
    assert view.size == (512, round(1100 * 512 / 1301))
    # From now on the file is not read again.
    (tmp_path / "large.png").write_bytes(b"")
    tile = Image.open(BytesIO(alone.tile(file, Tile(11, 2, 2))))
    assert tile.size == (1301 - 1024, 1100 - 1024)
    assert colour(tile, 100, 40) == pytest.approx(colour(whole, 1124, 1064), abs=25)
    half = Image.open(BytesIO(alone.tile(file, Tile(10, 1, 1))))
    assert half.size == (651 - 512, 550 - 512)
    crop = Image.open(BytesIO(alone.made(file, WantedPicture(128, box=(500.0, 500.0, 560.0, 560.0)))))
    assert crop.size == (128, 128)
    assert colour(crop, 64, 64)[1] == pytest.approx(colour(whole, 530, 530)[1], abs=40)


def test_two_who_ask_for_a_large_photo_at_once_have_it_cut_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (900, 700), "red").save(tmp_path / "large.png")
    both_ask, cuts = Barrier(2), list[int]()

    class Budget(PixelBudget):
        def holding(self, pixels: int) -> AbstractContextManager[None]:
            both_ask.wait(60)
            return super().holding(pixels)

    def counted(*given: Any) -> None:
        cuts.append(1)
        cut(*given)

    monkeypatch.setattr(pictures, "LARGE", 1000)
    monkeypatch.setattr(pictures, "cut", counted)
    cache = DiskCache(tmp_path / "cache", 1 << 30)
    alone = PhotoPictures([tmp_path], cache, DecoderPool(DecodeLimits()), Budget(10_000))
    file = alone.file(PhotoPlace("large.png", 900, 700))
    with ThreadPoolExecutor() as pool:
        tile, view = pool.submit(alone.tile, file, Tile(10, 1, 1)), pool.submit(alone.made, file, WantedPicture(512))
        assert tile.result()
        assert view.result()
    assert len(cuts) == 1


def test_the_levels_of_deep_zoom() -> None:
    levels = Levels(12_000, 9_000)
    assert (levels.bottom, levels.top) == (9, 14)
    assert [levels.size(level) for level in (14, 13, 9)] == [(12_000, 9_000), (6_000, 4_500), (375, 282)]
    assert levels.holds(Tile(14, 23, 17))
    assert not levels.holds(Tile(14, 24, 0))
    assert Levels(1, 1).bottom == Levels(1, 1).top == 0


def test_the_disk_holds_no_more_than_its_limit(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 250)
    for number in range(3):
        cache.put(f"key{number}", b"x" * 100)
        os.utime(tmp_path / "ke" / f"key{number}", (number, number))
    assert (cache.get("key0"), cache.total) == (None, 200)
    assert cache.get("key1") == b"x" * 100
    # A later service knows which was used last.
    later = DiskCache(tmp_path, 250)
    later.put("key3", b"y" * 100)
    assert later.get("key2") is None
    assert later.get("key1") is not None
    (tmp_path / "ke" / "key3").unlink()
    assert later.get("key3") is None
    assert later.total == 100


def test_a_picture_that_cannot_be_kept_leaves_nothing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 250)
    (tmp_path / "ke" / "key0").mkdir(parents=True)
    cache.put("key0", b"x")
    assert [each.name for each in (tmp_path / "ke").iterdir()] == ["key0"]


@pytest.mark.fault("10.s.60")
def test_a_cache_of_another_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could put its own pictures in place of ours."""
    if os.geteuid() == 0:
        os.chown(tmp_path, 4242, 4242)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(PluginError, match="belongs to another account; name a folder of your own with --cache"):
        DiskCache(tmp_path, 1000)


def test_a_folder_that_can_keep_nothing_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PluginError, match=r"cannot be kept in '/proc/nothing': No such file or directory; .* --cache"):
        DiskCache(Path("/proc/nothing"), 250)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 1_234_567)
    with pytest.raises(PluginError, match="--cache"):
        default_cache()
