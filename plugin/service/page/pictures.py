"""Pictures of photos in any size: decoded in a separate process, of bounded size, and kept on disk.

A large photo is cut into tiles once. All its other pictures are made from these, so it is never in memory whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from math import ceil, floor
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from sorce.errors import BadPhoto
from sorce.mappings import Hit
from sorce.pictures.budget import PixelBudget
from sorce.pictures.files import read
from sorce.pictures.remote import is_remote
from sorce.pictures.sandbox import DecoderPool, DecoderProcess
from sorce.pictures.uris import Root, content_below, folders, look_below, path_below
from sorce.plugin.query.packing import OpenedPhoto
from sorce.plugin.service.page.cache import DiskCache
from sorce.plugin.service.page.photos import PhotoPlace
from sorce.plugin.service.page.pyramid import TILE, Levels, Tile, cut
from sorce.plugin.service.requests import Refused

LARGE = 24_000_000
"""Photos of more pixels are cut into tiles before anything else is made of them."""
MAX_DECODED = 50_000_000
"""Maximum pixels of all photos that are decoded at once, unless it is a single one."""

WEBP, JPEG = "WEBP", "JPEG"
QUALITY = {WEBP: 80, JPEG: 85}
CONTEXT = 0.15
"""How much of the photo a crop shows beyond its box on each side, in sides of the box."""

TOO_SMALL = "the cache is too small for this photo; start the service with a larger --cache-size."

Result = TypeVar("Result")
Sides = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file or an object of a store as it is now: another size, time of change or tag means another content."""

    path: str
    version: str

    def key(self, what: Any = None) -> str:
        """Names something that is made of this content: 64 hexadecimal digits."""
        said = json.dumps([self.path, self.version, what])
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class WantedPicture:
    """A picture of a photo: its longer side in pixels, and its format. With a box only this part, in the same pixels.

    Without a box the photo is never enlarged.
    """

    side: int
    format: str = WEBP
    box: Sides | None = None


class _TileGone(Exception):
    """The cache has dropped a tile."""


class PhotoPictures:
    """Pictures of photos below the roots. For use from any thread."""

    def __init__(self, roots: Sequence[Root], cache: DiskCache, decoders: DecoderPool, budget: PixelBudget) -> None:
        self._roots, self._cache, self._decoders, self._budget = roots, cache, decoders, budget

    def file(self, place: PhotoPlace) -> FileVersion:
        """Raises Refused if it is not below the roots, or not there."""
        if not self._roots:
            raise Refused(404, "no pictures are shown: the service was started without --root.")
        try:
            if is_remote(place.uri):
                return FileVersion(place.uri, str(look_below(place.uri, self._roots)))
            path = path_below(place.uri, folders(self._roots))
            status = path.stat()
        except BadPhoto as error:
            raise Refused(404, f"the photo {error}.") from error
        except (OSError, ValueError) as error:
            raise Refused(404, "the photo's file cannot be found.") from error
        return FileVersion(os.fspath(path), f"{status.st_mtime_ns} {status.st_size}")

    def kept(self, key: str) -> bytes | None:
        """What the disk holds under a key of `FileVersion`."""
        return self._cache.get(key)

    def made(self, file: FileVersion, wanted: WantedPicture) -> bytes:
        """Makes a picture, and keeps it. Raises Refused if the file is no picture."""
        picture = encoded(self._made(file, wanted), wanted.format)
        self._cache.put(file.key(asdict(wanted)), picture)
        return picture

    def tile(self, file: FileVersion, tile: Tile) -> bytes:
        """Cuts the whole photo into tiles, and keeps them all. Raises Refused."""
        found = self._cache.get(file.key(asdict(tile)))
        if found is not None:
            return found
        levels = self._known_levels(file)
        if levels is None or levels.holds(tile):
            levels = self._with_decoder(file, lambda decoder, _: self._cut(file, decoder, levels))
        if not levels.holds(tile):
            raise Refused(404, "the photo has no such tile.")
        try:
            return self._tile(file, tile)
        except _TileGone as error:
            raise Refused(503, TOO_SMALL) from error

    def opened(self, place: PhotoPlace) -> Image.Image:
        """The whole photo. Raises Refused."""
        return self._with_decoder(self.file(place), lambda decoder, _: decoder.picture().image)

    def opened_photo(self, hit: Hit) -> OpenedPhoto:
        """The photo of a hit with its file's bytes. Raises BadPhoto."""
        content = content_below(hit.uri, self._roots)
        with self._decoders.one() as decoder, self._budget.holding(decoder.pixels(content)):
            return OpenedPhoto(content, decoder.picture(hit.uri))

    def _made(self, file: FileVersion, wanted: WantedPicture) -> Image.Image:
        known = self._known_levels(file)
        if known is not None:
            with suppress(_TileGone):
                return self._of_tiles(file, known, wanted)

        def make(decoder: DecoderProcess, pixels: int) -> Image.Image | Levels:
            return self._cut(file, decoder, known) if pixels > LARGE else shrunk(decoder.picture().image, wanted)

        made = self._with_decoder(file, make)
        try:
            return self._of_tiles(file, made, wanted) if isinstance(made, Levels) else made
        except _TileGone as error:
            raise Refused(503, TOO_SMALL) from error

    def _known_levels(self, file: FileVersion) -> Levels | None:
        """The levels of a photo that has been cut into tiles."""
        known = self._cache.get(file.key("levels"))
        return None if known is None else Levels(*json.loads(known))

    def _with_decoder(self, file: FileVersion, work: Callable[[DecoderProcess, int], Result]) -> Result:
        """Calls `work` with the decoder that has read the file's header, and the number of pixels."""
        try:
            content = content_below(file.path, self._roots) if is_remote(file.path) else read(Path(file.path))
            with self._decoders.one() as decoder:
                pixels = decoder.pixels(content)
                del content
                with self._budget.holding(pixels):
                    return work(decoder, pixels)
        except BadPhoto as error:
            raise Refused(422, f"the photo {error}.") from error

    def _cut(self, file: FileVersion, decoder: DecoderProcess, known: Levels | None) -> Levels:
        """`known` are the levels that were known before the decoder was free. If any, some tiles are gone."""
        if known is None and (cut_meanwhile := self._known_levels(file)) is not None:
            return cut_meanwhile

        def keep(tile: Tile, image: Image.Image) -> None:
            self._cache.put(file.key(asdict(tile)), encoded(image, JPEG))

        size, strips = decoder.strips(TILE)
        levels = Levels(*size)
        cut(levels, strips, keep)
        # Last: who finds this finds all tiles.
        self._cache.put(file.key("levels"), json.dumps(size).encode())
        return levels

    def _of_tiles(self, file: FileVersion, levels: Levels, wanted: WantedPicture) -> Image.Image:
        """The picture from the smallest level that has its pixels."""
        box = wanted.box or (0.0, 0.0, float(levels.width), float(levels.height))
        longer = max(box[2] - box[0], box[3] - box[1])
        level = levels.top
        while level > levels.bottom and longer / (1 << (levels.top - level + 1)) >= wanted.side:
            level -= 1
        factor = 1 << (levels.top - level)
        width, height = levels.size(level)
        left, top, right, bottom = around(box, levels.width, levels.height) if wanted.box else box
        part = (
            max(0, floor(left / factor)),
            max(0, floor(top / factor)),
            min(width, ceil(right / factor)),
            min(height, ceil(bottom / factor)),
        )
        image = Image.new("RGB", (part[2] - part[0], part[3] - part[1]))
        for row in range(part[1] // TILE, (part[3] - 1) // TILE + 1):
            for column in range(part[0] // TILE, (part[2] - 1) // TILE + 1):
                with Image.open(BytesIO(self._tile(file, Tile(level, column, row))), formats=[JPEG]) as tile:
                    image.paste(tile, (column * TILE - part[0], row * TILE - part[1]))
        return resized(image, wanted.side, enlarge=wanted.box is not None)

    def _tile(self, file: FileVersion, tile: Tile) -> bytes:
        found = self._cache.get(file.key(asdict(tile)))
        if found is None:
            raise _TileGone
        return found


def shrunk(image: Image.Image, wanted: WantedPicture) -> Image.Image:
    """The picture from the whole photo."""
    if wanted.box is None:
        return resized(image, wanted.side, enlarge=False)
    left, top, right, bottom = around(wanted.box, image.width, image.height)
    part = image.crop((floor(left), floor(top), ceil(right), ceil(bottom)))
    return resized(part, wanted.side, enlarge=True)


def around(box: Sides, width: int, height: int) -> Sides:
    """The box with a little of what is round it, inside a photo of this size. Raises Refused if nothing is inside."""
    across, down = CONTEXT * (box[2] - box[0]), CONTEXT * (box[3] - box[1])
    left, top = max(0.0, box[0] - across), max(0.0, box[1] - down)
    right, bottom = min(float(width), box[2] + across), min(float(height), box[3] + down)
    if right <= left or bottom <= top:
        raise Refused(422, f"box: it is not inside the photo of {width} x {height} pixels.")
    return left, top, right, bottom


def resized(image: Image.Image, side: int, *, enlarge: bool) -> Image.Image:
    """The longer side has `side` pixels; without `enlarge` at most."""
    scale = side / max(image.size)
    if scale >= 1 and not enlarge:
        return image
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def encoded(image: Image.Image, form: str) -> bytes:
    file = BytesIO()
    image.save(file, form, quality=QUALITY[form])
    return file.getvalue()
