"""Writes hits as image files: each photo with its boxes, and pages of all photos with enlarged boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageDraw

from sorce.errors import BadPhoto, SorceError
from sorce.mappings import Box, Hit, Rejected
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.marks import drawable, font, mark
from sorce.pictures.names import file_stem
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.sheet import cell, sheet
from sorce.pictures.uris import Root, content_of
from sorce.terminal import printable

PAGE = 2000
"""Longest side, in pixels, of the page that replaces a photo that cannot be opened."""

CELLS = 100
"""Maximum hits per sheet. More would not fit into a JPEG."""

MAX_NAMED = 3
"""Maximum number of photos that a warning names."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was written: a file for each hit, the sheets, and the photos that could not be opened, with the reason."""

    files: tuple[Path, ...]
    sheets: tuple[Path, ...]
    missing: tuple[Rejected, ...]

    @property
    def warning(self) -> str | None:
        """A sentence about the photos that could not be opened; None if all were."""
        if not self.missing:
            return None
        shown = "; ".join(printable(f"{photo.path} {photo.reason}") for photo in self.missing[:MAX_NAMED])
        more = f"; and {len(self.missing) - MAX_NAMED} more" if len(self.missing) > MAX_NAMED else ""
        return f"{len(self.missing)} of {len(self.files)} photos could not be opened and are grey: {shown}{more}"


def save(
    hits: Sequence[Hit],
    folder: Path,
    root: Root | None,
    phrases: Sequence[str],
    truth: Mapping[str, Sequence[Box]] | None = None,
    left_out: int = 0,
) -> Drawn:
    """Writes `01-name.jpg`, ... and `sheet.jpg`, `sheet-2.jpg`, ... Raises SorceError if that fails.

    The number is the hit's rank: `left_out` hits come before the first. `phrases` are the title, in the order of each
    hit's matches. `truth` maps photo_id to the boxes known to be right; they are drawn in white. A photo that cannot be
    opened is replaced by a grey page with the reason.

    Anyone who may write to the index chooses what is opened here (`content_of`). So only regular files are opened, as
    pictures, in a separate process with limits.
    """
    phrases = [phrases] if isinstance(phrases, str) else phrases
    files: list[Path] = []
    sheets: list[Path] = []
    missing: list[Rejected] = []
    make_folder(folder)
    with writing(folder), closing(DecoderPool(DecodeLimits())) as decoders:
        for start in range(0, max(1, len(hits)), CELLS):
            cells = []
            for rank, hit in enumerate(hits[start : start + CELLS], left_out + start + 1):
                photo = _opened(hit, root, decoders)
                if isinstance(photo, Rejected):
                    missing.append(photo)
                    # Without the photo there is no place to mark.
                    photo, hit = _page(hit, photo.reason), replace(hit, matches=())
                right = (truth or {}).get(hit.photo_id, ())
                files.append(folder / f"{rank:02}-{file_stem(hit.file_name)}.jpg")
                marked(photo, hit, rank, right).save(files[-1], quality=90)
                cells.append(cell(photo, hit, rank, right))
            sheets.append(folder / (f"sheet-{len(sheets) + 1}.jpg" if sheets else "sheet.jpg"))
            sheet(cells, phrases).save(sheets[-1], quality=90)
    return Drawn(tuple(files), tuple(sheets), tuple(missing))


def marked(photo: Image.Image, hit: Hit, rank: int, truth: Sequence[Box] = ()) -> Image.Image:
    """A copy, resized if its labels need it, with every box outlined and labelled."""
    drawn = drawable(photo)
    mark(drawn, hit, rank, truth)
    return drawn


def make_folder(folder: Path) -> None:
    """Raises SorceError."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns a failure to write below the folder into a SorceError."""
    try:
        yield
    except OSError as error:
        raise SorceError(
            f"'{folder}' cannot be written to ({error.strerror or error}); name a folder that can."
        ) from error


def _opened(hit: Hit, root: Root | None, decoders: DecoderPool) -> Image.Image | Rejected:
    try:
        return decoders.picture(content_of(hit.uri, root)).image
    except BadPhoto as error:
        return Rejected(hit.uri, str(error))


def _page(hit: Hit, reason: str) -> Image.Image:
    """The page that replaces a photo that cannot be opened."""
    page = Image.new("RGB", (min(max(hit.width, 1), PAGE), min(max(hit.height, 1), PAGE)), "#777777")
    text = f"{printable(hit.uri)}\n{printable(reason)}"
    ImageDraw.Draw(page).multiline_text((10, 10), text, "white", font(max(1, max(page.size) / 40)))
    return page
