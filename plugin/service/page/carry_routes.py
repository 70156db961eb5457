"""What is carried away: files of hits, and a search as code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import IO
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from starlette.responses import StreamingResponse

from sorce.plugin.query.export import FORMATS
from sorce.plugin.service.locate_requests import parsed
from sorce.plugin.service.page.carrying import Carrying, CodeBody, ExportBody
from sorce.plugin.service.page.serving import Page, as_json
from sorce.plugin.service.requests import Bodies

CHUNK = 1 << 18
"""Bytes that are sent at a time."""
LEFT_OUT = "X-Left-Out"
"""The header with the number of photos that the file lacks, because they cannot be opened or found."""


def add_carrying(app: FastAPI, page: Page, bodies: Bodies) -> None:
    carrying = Carrying(page.search)

    @app.post("/api/export", include_in_schema=False)
    async def export(request: Request) -> Response:
        body = parsed(ExportBody, await bodies.read(request))

        def written() -> tuple[IO[bytes], int, str]:
            user = page.user(request)
            return *carrying.file(user, body), user.found(body.index or body.request.index).asked

        stream, left_out, index = await page.answering(request, written, looks_again=body.request.locate > 0)
        form = FORMATS[body.format]
        name = f"{index}-{body.format}{form.suffix}"
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
            "Content-Length": str(stream.seek(0, os.SEEK_END)),
            "Cache-Control": "private, no-store",
            LEFT_OUT: str(left_out),
        }
        return StreamingResponse(_chunks(stream), headers=headers, media_type=form.media_type)

    @app.post("/api/code", include_in_schema=False)
    async def code(request: Request) -> Response:
        body = parsed(CodeBody, await bodies.read(request))
        return as_json(await page.searching(lambda: carrying.code(page.user(request), body)))


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    with stream:
        stream.seek(0)
        yield from iter(partial(stream.read, CHUNK), b"")
