"""What is carried away: files of hits, and a search as code."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from sorce.plugin.query.export import FORMATS
from sorce.plugin.service.locate_requests import parsed
from sorce.plugin.service.page.carrying import Carrying, ExportBody
from sorce.plugin.service.page.serving import Page
from sorce.plugin.service.requests import Bodies

LEFT_OUT = "X-Left-Out"
"""The header with the number of photos that the file lacks, because they cannot be opened."""


def add_carrying(app: FastAPI, page: Page, bodies: Bodies) -> None:
    carrying = Carrying(page.search)

    @app.post("/api/export", include_in_schema=False)
    async def export(request: Request) -> Response:
        body = parsed(ExportBody, await bodies.read(request))

        def written() -> tuple[Path, int, str]:
            user = page.user(request)
            return *carrying.file(user, body), user.found(body.index or body.request.index).asked

        path, left_out, index = await page.searching(written)
        form = FORMATS[body.format]
        return FileResponse(
            path,
            headers={"Cache-Control": "private, no-store", LEFT_OUT: str(left_out)},
            media_type=form.media_type,
            filename=f"{index}-{body.format}{form.suffix}",
            background=BackgroundTask(path.unlink),
        )
