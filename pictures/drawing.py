"""Photos with what was found in them: each with its boxes drawn, and a sheet of all with the boxes enlarged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from PIL import Image, ImageDraw, ImageFont

from sorce.errors import BadPhoto
from sorce.mappings import Box, Hit
from sorce.pictures.files import read
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool

COLOURS = ("#ff2d55", "#00c8ff", "#ffd60a", "#34e35a")
"""One for each phrase."""

PHOTO_WIDTH, PHOTO_HEIGHT = 480, 360
MARGIN = 14
CAPTION = 22
COLUMNS = 2
LINES = 400
"""A line is this part of the photo's longer side."""

PAGE = 2000
"""Pixels of the longest side of a page for a photo that cannot be opened."""

SURROUNDINGS = 1.8
"""An enlarged box shows this many times its longer side, so that one sees where it is."""


def save(
    hits: Sequence[Hit],
    folder: Path,
    root: Path | None,
    title: str,
    truth: Mapping[str, Sequence[Box]] | None = None,
) -> list[Path]:
    """Writes `01-name.jpg`, ... and `sheet.jpg`; returns what it wrote, the sheet last.

    `truth` has by photo_id the boxes that are known to be right; they are drawn in white. A photo that cannot be opened
    has a grey page in its place that says why.

    Whoever may write to the index chooses what is opened here (`path_of`): only regular files, as pictures, in a
    process of its own and within its limits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, cells = [], []
    with closing(DecoderPool(DecodeLimits())) as openers:
        for rank, hit in enumerate(hits, 1):
            photo = _photo(hit, root, openers)
            for box in (truth or {}).get(hit.photo_id, ()):
                line = max(1, round(max(photo.size) / LINES))
                _outline(photo, _moved(box, 0, 0, _scale(photo, hit)), "white", line)
            written.append(folder / f"{rank:02}-{PurePosixPath(hit.file_name).stem[:80]}.jpg")
            marked(photo, hit, rank).save(written[-1], quality=90)
            cells.append(_cell(photo, hit, rank))
    written.append(folder / "sheet.jpg")
    _sheet(cells, title).save(written[-1], quality=90)
    return written


def path_of(uri: str, root: Path | None) -> Path:
    """Where the photo lies: a `file:` URI, else a path below the root (or the current folder). Raises BadPhoto.

    With a root, a `file:` URI must lie below it when links are followed; a path leaves it only by a link that lies in
    it, as an ingest does. Without one, a `file:` URI may name any place of this machine, since an index does not say
    which folders were brought in.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise BadPhoto("has no URI that can be read") from error
    if "\0" in unquote(uri):
        raise BadPhoto("has no URI that can be read")
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise BadPhoto("is said to lie on another machine")
        file = Path(url2pathname(parts.path))
        if root is not None and not _real(file).is_relative_to(_real(root)):
            raise BadPhoto("is said to lie outside the root")
        return file
    below = PurePosixPath(unquote(uri))
    if below.is_absolute() or ".." in below.parts:
        raise BadPhoto("is said to lie outside the root")
    return (root or Path()) / below


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise BadPhoto("lies behind links that have no end") from error


def marked(photo: Image.Image, hit: Hit, rank: int) -> Image.Image:
    """A copy, of whatever size, with every box outlined and labelled: rank of the photo and similarity."""
    drawn = photo.copy()
    scale = _scale(photo, hit)
    line = max(1, round(max(photo.size) / LINES))
    for colour, matches in zip(COLOURS, hit.matches, strict=False):
        # The best last, so that no other box lies on it.
        for match in reversed(matches):
            box = _moved(match.box, 0, 0, scale)
            _outline(drawn, box, colour, line)
            _label(drawn, box, f"{rank}: {match.similarity:.2f}", colour, line)
    return drawn


def enlarged(photo: Image.Image, box: Box, side: int, colour: str) -> Image.Image:
    """The box with some of its surroundings, as a square of so many pixels; what is beyond the photo is black."""
    reach = SURROUNDINGS * max(box.x2 - box.x1, box.y2 - box.y1)
    left, top = (box.x1 + box.x2 - reach) / 2, (box.y1 + box.y2 - reach) / 2
    area = (round(left), round(top), round(left + reach), round(top + reach))
    # Cut first and resized then: `transform` alone would skip pixels of a large box.
    crop = photo.crop(area).resize((side, side), Image.Resampling.LANCZOS)
    _outline(crop, _moved(box, left, top, side / reach), colour, 2)
    return crop


def _photo(hit: Hit, root: Path | None, openers: DecoderPool) -> Image.Image:
    try:
        content = read(path_of(hit.uri, root))
        with openers.one() as opener:
            opener.pixels(content)
            return opener.picture().image
    except BadPhoto as error:
        page = Image.new("RGB", (min(max(hit.width, 1), PAGE), min(max(hit.height, 1), PAGE)), "#777777")
        ImageDraw.Draw(page).multiline_text(
            (10, 10), f"{hit.uri}\n{error}", "white", _font(max(1, max(page.size) / 40))
        )
        return page


def _scale(photo: Image.Image, hit: Hit) -> float:
    # Whoever may write to the index says how wide the photo is.
    return photo.width / max(hit.width, 1)


def _moved(box: Box, left: float, top: float, scale: float) -> Box:
    return Box((box.x1 - left) * scale, (box.y1 - top) * scale, (box.x2 - left) * scale, (box.y2 - top) * scale)


def _outline(image: Image.Image, box: Box, colour: str, line: int) -> None:
    """The colour between two dark lines, so that it stands out on any background.

    They lie outside the box, which is small; at the edge of the photo, inside.
    """
    pen = ImageDraw.Draw(image)
    x1, y1 = max(box.x1, 4 * line), max(box.y1, 4 * line)
    x2, y2 = min(box.x2, image.width - 4 * line), min(box.y2, image.height - 4 * line)
    for reach, width, fill in ((4, 1, "black"), (3, 2, colour), (1, 1, "black")):
        left, top = x1 - reach * line, y1 - reach * line
        right, bottom = max(left, x2 - 1 + reach * line), max(top, y2 - 1 + reach * line)
        pen.rectangle((left, top, right, bottom), outline=fill, width=width * line)


def _label(image: Image.Image, box: Box, text: str, colour: str, line: int) -> None:
    """Above the box where there is room, else below it."""
    pen, font = ImageDraw.Draw(image), _font(12 * line)
    left, top, right, bottom = pen.textbbox((0, 0), text, font)
    width, height = right - left + 6 * line, bottom - top + 6 * line
    x = min(max(0, box.x1 - 4 * line), image.width - width)
    above, below = box.y1 - 5 * line - height, box.y2 + 5 * line
    y = above if above >= 0 else min(below, image.height - height)
    pen.rectangle((x, y, x + width, y + height), fill="black", outline=colour, width=line)
    pen.text((x + 3 * line - left, y + 3 * line - top), text, "white", font)


def _cell(photo: Image.Image, hit: Hit, rank: int) -> Image.Image:
    """One photo of the sheet: itself, small; beside it each phrase's best box, enlarged; a line of text below."""
    cell = Image.new("RGB", (PHOTO_WIDTH + MARGIN + PHOTO_HEIGHT, PHOTO_HEIGHT + CAPTION), "white")
    small = photo.copy()
    small.thumbnail((PHOTO_WIDTH, PHOTO_HEIGHT))
    cell.paste(marked(small, hit, rank), ((PHOTO_WIDTH - small.width) // 2, (PHOTO_HEIGHT - small.height) // 2))
    side = PHOTO_HEIGHT // len(hit.matches)
    for place, (colour, matches) in enumerate(zip(COLOURS, hit.matches, strict=False)):
        cell.paste(enlarged(photo, matches[0].box, side, colour), (PHOTO_WIDTH + MARGIN, place * side))
    caption = f"{rank}.  {hit.score:.3f}  {hit.file_name}"
    ImageDraw.Draw(cell).text((0, PHOTO_HEIGHT + 4), caption, "black", _font(15))
    return cell


def _sheet(cells: Sequence[Image.Image], title: str) -> Image.Image:
    width, height = cells[0].size if cells else (PHOTO_WIDTH, 0)
    columns, rows = min(COLUMNS, len(cells) or 1), -(-len(cells) // COLUMNS)
    head = 40
    size = (MARGIN + columns * (width + 2 * MARGIN), head + rows * (height + MARGIN) + MARGIN)
    sheet = Image.new("RGB", size, "white")
    ImageDraw.Draw(sheet).text((MARGIN, 10), title, "black", _font(20))
    for number, cell in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        sheet.paste(cell, (MARGIN + column * (width + 2 * MARGIN), head + row * (height + MARGIN)))
    return sheet


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
