"""Opens the photo of a hit, and shows it with its boxes in a notebook."""

from __future__ import annotations

from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass, replace
from html import escape
from io import BytesIO
from pathlib import Path

from PIL.Image import Image

from sorce.errors import BadPhoto
from sorce.mappings import Hit
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.marks import drawable, mark
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.uris import Root, as_root, content_of

WIDTH = 640
"""Longest side of a photo in a notebook, in pixels."""


def openable(hit: Hit, root: Root | None) -> Hit:
    """The hit with its opener. `root` is the user's, never the index's: it decides which files are opened."""
    opener = PhotoOpener(root)
    return replace(hit, opener=opener, duplicates=tuple(replace(each, opener=opener) for each in hit.duplicates))


@dataclass(frozen=True, slots=True)
class PhotoOpener:
    """Opens photos of an index in a separate process, with limits: anyone who may write to it names the files."""

    root: Root | None

    def picture(self, hit: Hit, root: str | Path | None) -> Image:
        """Raises BadPhoto, and SorceError for a text that names no folder."""
        try:
            content = content_of(hit.uri, self.root if root is None else as_root(root))
            with closing(DecoderPool(DecodeLimits())) as decoders:
                return decoders.picture(content, hit.uri).image
        except BadPhoto as error:
            raise BadPhoto(f"photo '{hit.uri}' {error}.") from error

    def html(self, hit: Hit) -> str:
        """The photo with its boxes drawn, and its name below; without the photo if it cannot be opened."""
        try:
            drawn = drawable(self.picture(hit, None))
        except BadPhoto as error:
            shown = f"<em>{escape(str(error))}</em>"
        else:
            mark(drawn, hit, 1)
            drawn.thumbnail((WIDTH, WIDTH))
            shown = f'<img alt="{escape(hit.file_name)}" src="data:image/jpeg;base64,{_jpeg(drawn)}">'
        region = f"{hit.photo_id}/{hit.best.region_id}" if hit.matches else hit.photo_id
        words = f"{hit.file_name}: score {hit.score:.4f}, similarity {hit.similarity:.4f}, region {region}"
        return f'<figure style="display:inline-block">{shown}<figcaption>{escape(words)}</figcaption></figure>'


def _jpeg(image: Image) -> str:
    written = BytesIO()
    image.save(written, "JPEG", quality=85)
    return b64encode(written.getvalue()).decode()
