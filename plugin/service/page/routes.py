"""The page itself, its indices, and its searches."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.responses import Response as AnyResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sorce.mappings.query import Json
from sorce.models.notes import note_of
from sorce.plugin.service.locate_requests import parsed
from sorce.plugin.service.page.bodies import SearchBody
from sorce.plugin.service.page.carry_routes import add_carrying
from sorce.plugin.service.page.fields import fields_body, fields_of, read_fields
from sorce.plugin.service.page.indices import Counts
from sorce.plugin.service.page.photos import photo_json, stored_photo
from sorce.plugin.service.page.picture_routes import Index, add_pictures
from sorce.plugin.service.page.serving import Page, as_json
from sorce.plugin.service.page.session_routes import add_session
from sorce.plugin.service.page.uploads import MAX_UPLOAD, UPLOAD_PATIENCE
from sorce.plugin.service.page.users import ClusterUser, asking
from sorce.plugin.service.requests import Bodies, Refused

STATIC = Path(__file__).parent / "static"


class PageFiles(StaticFiles):
    """The page's own files. A browser asks each time whether they have changed: a new sorce brings new ones."""

    async def get_response(self, path: str, scope: Scope) -> AnyResponse:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def add_page(app: FastAPI, page: Page, bodies: Bodies) -> None:
    files = PageFiles(directory=STATIC)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> AnyResponse:
        return await files.get_response("index.html", request.scope)

    app.mount("/static", files)
    add_session(app, page.settings, page.key, bodies, locates=bool(page.setup.localisers))
    add_pictures(app, page)
    add_carrying(app, page, bodies)
    _add_search(app, page, bodies)

    @app.get("/api/photo/{photo_id:path}", include_in_schema=False)
    async def photo(request: Request, photo_id: str, index: Index = None) -> Response:
        def found() -> Json:
            user = page.user(request)
            name = user.found(index).asked
            return photo_json(stored_photo(user, index, photo_id), name, page.folders, page.settings.show_paths)

        return as_json(await page.searching(found))


def _add_search(app: FastAPI, page: Page, bodies: Bodies) -> None:
    @app.get("/api/indices", include_in_schema=False)
    async def indices(request: Request) -> Response:
        return as_json({"indices": await page.searching(lambda: _indices(page, page.user(request)))})

    @app.post("/api/search", include_in_schema=False)
    async def search(request: Request) -> Response:
        body = parsed(SearchBody, await bodies.read(request))

        def answer() -> Json:
            return page.search.answer(page.user(request), body)

        return as_json(await page.answering(request, answer, looks_again=body.locate > 0))

    @app.post("/api/like", include_in_schema=False)
    async def like(request: Request) -> Response:
        content = await bodies.read(request, MAX_UPLOAD, UPLOAD_PATIENCE)

        def kept() -> Json:
            # The cluster must know the caller before a picture is opened.
            page.user(request)
            number, width, height = page.uploads.add(content)
            return {"upload": number, "width": width, "height": height}

        return as_json(await page.searching(kept))


def _indices(page: Page, user: ClusterUser) -> list[Json]:
    """The indices that the user may search."""
    found = []
    for name in page.indices.names:
        try:
            with asking(user.is_own):
                found.append(_index(page, user, name))
        except Refused as refused:
            if refused.status not in (403, 404):
                raise
    return found


def _index(page: Page, user: ClusterUser, name: str) -> Json:
    found = user.found(name)
    fields = fields_of(found)
    answer = user.ask(name, fields_body(fields))
    counts, recipe = Counts.of(answer), found.recipe
    return {
        "name": name,
        "photos": counts.photos,
        "regions": counts.regions,
        "model": recipe.model,
        "method": recipe.regions,
        "note": note_of(recipe),
        "ranks": ["similarity", *(["product"] if recipe.has_quality else [])],
        "debias": bool(recipe.bank),
        "dimension": recipe.dimension,
        "fields": read_fields(answer, fields, page.folders.shown),
    }
