"""Pictures of any mode for localisers: a program may hand over grey or CMYK."""

from __future__ import annotations

from dataclasses import replace

from sorce.mappings import LocateRequest
from sorce.pictures.loading import decoded


def in_rgb(request: LocateRequest) -> LocateRequest:
    """The request with its picture in RGB, on white. It is not turned: boxes stay in its own pixels.

    Raises BadPhoto if its content is damaged.
    """
    image = request.picture.image
    if image.mode == "RGB":
        return request
    return replace(request, picture=replace(request.picture, image=decoded(image).image))
