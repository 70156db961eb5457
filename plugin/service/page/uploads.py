"""Pictures that callers bring along to search by: kept in memory for a while, and never on disk."""

from __future__ import annotations

import time
from collections import OrderedDict
from secrets import token_urlsafe
from threading import Lock

from sorce.errors import BadPhoto, QueryError
from sorce.mappings import Box
from sorce.mappings.example import LikePicture
from sorce.pictures.budget import PixelBudget
from sorce.pictures.sandbox import DecoderPool
from sorce.plugin.service.requests import Refused

MAX_UPLOAD = 20 * 1024 * 1024
"""Maximum bytes of one picture."""
UPLOAD_PATIENCE = 6
"""How many times longer than other requests an upload may take: a phone sends a photo slowly."""
MAX_KEPT = 8 * MAX_UPLOAD
KEPT_SECONDS = 3600


class Uploads:
    """Pictures as they came, by a number that nobody can guess; decoded in a separate process."""

    def __init__(self, decoders: DecoderPool, budget: PixelBudget) -> None:
        self._decoders, self._budget = decoders, budget
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._lock = Lock()

    def add(self, content: bytes) -> tuple[str, int, int]:
        """The number, the width and the height of the upright picture in pixels. Raises Refused."""
        picture = self._opened(content)
        number = token_urlsafe(16)
        with self._lock:
            self._kept[number] = (time.monotonic() + KEPT_SECONDS, content)
            while sum(len(each) for _, each in self._kept.values()) > MAX_KEPT:
                self._kept.popitem(last=False)
        return number, picture.image.width, picture.image.height

    def example(self, number: str, box: Box | None) -> LikePicture:
        """Raises QueryError, Refused."""
        with self._lock:
            until, content = self._kept.get(number, (0.0, b""))
        if time.monotonic() > until:
            raise QueryError("the picture to search by is no longer here; send it again.")
        picture = self._opened(content)
        return LikePicture(picture.image, box, picture.name)

    def _opened(self, content: bytes) -> LikePicture:
        try:
            with self._decoders.one() as decoder, self._budget.holding(decoder.pixels(content)):
                return LikePicture(decoder.picture().image, None, "picture")
        except BadPhoto as error:
            raise Refused(422, f"this file {error}.") from error
