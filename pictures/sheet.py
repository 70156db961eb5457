"""A page of hits: a small copy of each photo with its boxes, and beside it each phrase's best box, enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from PIL import Image, ImageDraw, ImageOps

from sorce.mappings import Box, Hit
from sorce.pictures.marks import (
    COLOURS,
    LETTERS,
    fitting,
    font,
    letter,
    mark,
    outline,
    scale_of,
    scaled,
)
from sorce.terminal import printable

PHOTO_WIDTH, PHOTO_HEIGHT = 480, 360
MARGIN = 14
CAPTION, HEAD = 22, 40
COLUMNS = 2
BACKGROUND, PAPER = "#dddddd", "white"

SURROUNDINGS = 1.8
"""An enlarged box shows this many times its longer side, so that its surroundings are visible."""


def cell(photo: Image.Image, hit: Hit, rank: int, truth: Sequence[Box] = ()) -> Image.Image:
    """One photo of the page."""
    page = Image.new("RGB", (PHOTO_WIDTH + MARGIN + PHOTO_HEIGHT, PHOTO_HEIGHT + CAPTION), PAPER)
    small = ImageOps.contain(photo, (PHOTO_WIDTH, PHOTO_HEIGHT))
    mark(small, hit, rank, truth)
    page.paste(small, ((PHOTO_WIDTH - small.width) // 2, (PHOTO_HEIGHT - small.height) // 2))
    # One phrase gets all the space; with several, each gets a quarter.
    side = PHOTO_HEIGHT if len(hit.matches) == 1 else (PHOTO_HEIGHT - MARGIN) // 2
    for number, matches in enumerate(hit.matches[: len(COLOURS)]):
        crop = enlarged(photo, hit, matches[0].box, side, COLOURS[number])
        _tag(crop, letter(number, hit), COLOURS[number])
        down, across = divmod(number, 2)
        page.paste(crop, (PHOTO_WIDTH + MARGIN + across * (side + MARGIN), down * (side + MARGIN)))
    _caption(page, hit, rank)
    return page


def enlarged(photo: Image.Image, hit: Hit, box: Box, side: int, colour: str) -> Image.Image:
    """The box with some of its surroundings, on a square with sides of `side` pixels.

    The area shown is inside the photo: at an edge it is shifted, and a smaller photo is shown whole.
    """
    box = _within(scaled(box, scale_of(photo, hit)), photo.size)
    reach = max(1.0, SURROUNDINGS * max(box.x2 - box.x1, box.y2 - box.y1))
    width, height = min(reach, photo.width), min(reach, photo.height)
    left = min(max(0.0, (box.x1 + box.x2 - width) / 2), photo.width - width)
    top = min(max(0.0, (box.y1 + box.y2 - height) / 2), photo.height - height)
    scale = side / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Resized directly from the photo: Pillow refuses to crop an area of more than 180 million pixels.
    area = (left, top, left + width, top + height)
    crop = photo.resize(size, Image.Resampling.LANCZOS, area, reducing_gap=3)
    outline(crop, scaled(box, scale, left, top), colour, 2 if side == PHOTO_HEIGHT else 1)
    square = Image.new("RGB", (side, side), BACKGROUND)
    square.paste(crop, ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def sheet(cells: Sequence[Image.Image], phrases: Sequence[str]) -> Image.Image:
    """The page, with all phrases in its title."""
    width, height = cells[0].size if cells else (PHOTO_WIDTH + MARGIN + PHOTO_HEIGHT, 0)
    columns, rows = min(COLUMNS, len(cells) or 1), ceil(len(cells) / COLUMNS)
    size = (MARGIN + columns * (width + 2 * MARGIN), HEAD + rows * (height + MARGIN) + MARGIN)
    page = Image.new("RGB", size, PAPER)
    _title(page, phrases)
    for number, each in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        page.paste(each, (MARGIN + column * (width + 2 * MARGIN), HEAD + row * (height + MARGIN)))
    return page


def _within(box: Box, size: tuple[int, int]) -> Box:
    """The box, moved and cut to fit the photo: the box in the index may be wrong."""
    x1, y1 = min(max(0.0, box.x1), size[0] - 1), min(max(0.0, box.y1), size[1] - 1)
    return Box(x1, y1, max(x1 + 1, min(box.x2, size[0])), max(y1 + 1, min(box.y2, size[1])))


def _tag(image: Image.Image, text: str, colour: str, at: tuple[int, int] = (0, 0)) -> int:
    """Draws a phrase's letter on its colour; returns the width in pixels."""
    if not text:
        return 0
    pen, side = ImageDraw.Draw(image), 24
    pen.rectangle((*at, at[0] + side, at[1] + side), fill=colour, outline="black")
    pen.text((at[0] + side / 2, at[1] + side / 2), text, "black", font(18), anchor="mm")
    return side


def _caption(page: Image.Image, hit: Hit, rank: int) -> None:
    each = "".join(
        f"  {letter(number, hit)} {matches[0].similarity:.2f}"
        for number, matches in enumerate(hit.matches)
        if len(hit.matches) > 1
    )
    text = printable(f"{rank}.  {hit.score:.3f}{each}  {hit.file_name}")
    letters = font(15)
    ImageDraw.Draw(page).text((0, PHOTO_HEIGHT + 4), fitting(text, page.width, letters), "black", letters)


def _title(page: Image.Image, phrases: Sequence[str]) -> None:
    letters, left = font(20), MARGIN
    room = (page.width - 2 * MARGIN) // max(1, len(phrases))
    for number, phrase in enumerate(phrases):
        each = LETTERS[number % len(LETTERS)] if len(phrases) > 1 else ""
        start = left + _tag(page, each, COLOURS[number % len(COLOURS)], (left, 8)) + (8 if each else 0)
        text = fitting(printable(phrase), room - (start - left) - MARGIN, letters)
        ImageDraw.Draw(page).text((start, 10), text, "black", letters)
        left = round(start + letters.getlength(text)) + 2 * MARGIN
