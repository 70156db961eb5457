"""Pictures of any mode for localisers: a program may hand over grey or CMYK."""

from __future__ import annotations

from dataclasses import replace

from sorce.mappings import LocateRequest
from sorce.pictures.loading import upright


def in_rgb(request: LocateRequest) -> LocateRequest:
    """The request with its picture in RGB, as an ingest would read it. Raises BadPhoto if its content is damaged."""
    image = request.picture.image
    return request if image.mode == "RGB" else replace(request, picture=replace(request.picture, image=upright(image)))
