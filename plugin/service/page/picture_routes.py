"""Pictures by photo id: thumbnails, views, crops and tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response

from sorce.plugin.service.page.bodies import box_of
from sorce.plugin.service.page.photos import PhotoPlace
from sorce.plugin.service.page.pictures import JPEG, FileVersion, WantedPicture
from sorce.plugin.service.page.pyramid import TILE, Levels, Tile
from sorce.plugin.service.page.serving import Page
from sorce.plugin.service.page.workers import Once, unless_gone
from sorce.plugin.service.requests import Refused

THUMB, CROP, VIEW = (64, 512), (64, 1024), (256, 2048)
"""The steps of sizes, and the largest one. Few sizes, so that the cache does not hold one photo in hundreds."""
LONG = 30 * 24 * 3600
"""Seconds that a browser may keep a picture whose address holds its version."""

Index = Annotated[str | None, Query(max_length=255)]
Sought = Annotated[str, Query(max_length=64)]


class PictureGiver:
    """Answers with a picture: from the disk or newly made, once for all who ask for it meanwhile.

    A browser leaves when its user scrolls on or searches again. What nobody waits for any more is not made: it would
    hold back what the user sees now.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._making = Once()

    async def give(self, request: Request, index: str | None, photo_id: str, wanted: WantedPicture | Tile) -> Response:
        """Raises Refused, HTTPException."""
        file, key, content = await self._page.searching(lambda: self._found(request, index, photo_id, wanted))
        headers = {"ETag": f'"{key[:32]}"', "Cache-Control": self._cache_control(request)}
        if headers["ETag"] in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=headers)
        if content is None:
            content = await unless_gone(request, self._made(file, key, wanted))
        form = JPEG if isinstance(wanted, Tile) else wanted.format
        return Response(content, headers=headers, media_type=f"image/{form.lower()}")

    def _found(
        self, request: Request, index: str | None, photo_id: str, wanted: WantedPicture | Tile
    ) -> tuple[FileVersion, str, bytes | None]:
        file = self._page.pictures.file(self.place(request, index, photo_id))
        key = file.key(asdict(wanted))
        return file, key, self._page.pictures.kept(key)

    def place(self, request: Request, index: str | None, photo_id: str) -> PhotoPlace:
        """Asks the cluster as the caller. Raises Refused, HTTPException."""
        return self._page.places.place(self._page.user(request), index, photo_id)

    async def _made(self, file: FileVersion, key: str, wanted: WantedPicture | Tile) -> bytes:
        pictures, drawing = self._page.pictures, self._page.drawing
        if isinstance(wanted, Tile):
            # All tiles of a photo are cut together, and one thread is enough for it.
            levels = file.key("levels")
            is_wanted = partial(self._making.is_wanted, levels)
            await self._making.get(levels, lambda: drawing.run(lambda: pictures.tile(file, wanted), is_wanted))
            return await drawing.run(lambda: pictures.tile(file, wanted))
        is_wanted = partial(self._making.is_wanted, key)
        return await self._making.get(key, lambda: drawing.run(lambda: pictures.made(file, wanted), is_wanted))

    def _cache_control(self, request: Request) -> str:
        # As a caller of the cluster, each request is asked for again: rights may have changed.
        if self._page.settings.pass_credentials or not request.query_params.get("v"):
            return "private, no-cache"
        return f"private, max-age={LONG}"


def add_pictures(app: FastAPI, page: Page) -> None:
    giver = PictureGiver(page)

    @app.get("/thumb/{photo_id:path}", include_in_schema=False)
    async def thumb(request: Request, photo_id: str, index: Index = None, w: int = 320) -> Response:
        return await giver.give(request, index, photo_id, WantedPicture(stepped(w, THUMB)))

    @app.get("/view/{photo_id:path}", include_in_schema=False)
    async def view(request: Request, photo_id: str, index: Index = None, w: int = 2048) -> Response:
        return await giver.give(request, index, photo_id, WantedPicture(stepped(w, VIEW), JPEG))

    @app.get("/crop/{photo_id:path}", include_in_schema=False)
    async def crop(request: Request, photo_id: str, box: Sought, index: Index = None, w: int = 320) -> Response:
        sides = box_of(_numbers("box", box, float)).as_tuple()
        return await giver.give(request, index, photo_id, WantedPicture(stepped(w, CROP), box=sides))

    @app.get("/tiles/{photo_id:path}.json", include_in_schema=False)
    async def levels(request: Request, photo_id: str, index: Index = None) -> dict[str, int]:
        place = await page.searching(lambda: giver.place(request, index, photo_id))
        found = Levels(place.width, place.height)
        return {
            "width": found.width,
            "height": found.height,
            "tile_size": TILE,
            "overlap": 0,
            "min_level": found.bottom,
            "max_level": found.top,
        }

    # After the levels: an id may hold slashes.
    @app.get("/tiles/{photo_id:path}/{level}/{place}", include_in_schema=False)
    async def tile(request: Request, photo_id: str, level: str, place: str, index: Index = None) -> Response:
        numbers = _numbers("tile", f"{level},{place.replace('_', ',')}", int, 3)
        return await giver.give(request, index, photo_id, Tile(*numbers))


def stepped(side: int, steps: tuple[int, int]) -> int:
    """The next of the sizes that are made. Raises Refused."""
    step, most = steps
    if side < 1:
        raise Refused(422, "w: give the longer side in pixels, from 1.")
    return min(-(-side // step) * step, most)


def _numbers(name: str, text: str, kind: Callable[[str], Any], count: int = 4) -> list[Any]:
    try:
        numbers = [kind(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise Refused(422, f"{name}: '{text[:40]}' is not understood; give {count} numbers.")
    return numbers
