"""Draws boxes on a photo: outlines and labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from sorce.mappings import Box, Hit

COLOURS = ("#ff2d55", "#00c8ff", "#ffd60a", "#34e35a")
LETTERS = "abcd"
"""One colour per phrase. The letters are for people who cannot distinguish the colours."""

LINES = 400
"""Line width as a fraction of the photo's longer side."""

SMALLEST, LARGEST = 640, 16_000
"""Limits, in pixels, of the longer side of a drawing: a label needs some room, and a JPEG has at most 65,535."""

Area = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True, slots=True)
class Label:
    """The text beside a box, in the colour of its phrase."""

    box: Box
    text: str
    colour: str


def drawable(photo: Image.Image) -> Image.Image:
    """A copy to draw on, with its longer side between SMALLEST and LARGEST pixels."""
    longer = max(photo.size)
    scale = min(max(1.0, SMALLEST / longer), LARGEST / longer)
    if scale == 1:
        return photo.copy()
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    return photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)


def mark(drawn: Image.Image, hit: Hit, rank: int, truth: Sequence[Box] = ()) -> None:
    """Outlines and labels every box of the hit, on its photo at any size; boxes known to be right are white.

    A second stage's boxes are labelled `located`.
    """
    scale, line = scale_of(drawn, hit), line_of(drawn)
    for box in truth:
        outline(drawn, scaled(box, scale), "white", line)
    labels = []
    for number, matches in enumerate(hit.matches):
        # The best box last, so that no other box covers it.
        for match in reversed(matches):
            box = scaled(match.box, scale)
            outline(drawn, box, COLOURS[number % len(COLOURS)], line)
            text = f"{rank}{letter(number, hit)}: {match.similarity:.2f}"
            labels.append(Label(box, text, COLOURS[number % len(COLOURS)]))
        labels += _located(drawn, hit, number, scale)
    # The best boxes choose their label places first.
    place_labels(drawn, labels[::-1], line)


def _located(drawn: Image.Image, hit: Hit, number: int, scale: float) -> list[Label]:
    """Outlines what a second stage saw for a phrase, the best last, and returns the labels."""
    if hit.seen is None or number >= len(hit.seen.located):
        return []
    colour, labels = COLOURS[number % len(COLOURS)], []
    for each in reversed(hit.seen.located[number].instances):
        box = scaled(each.box, scale)
        outline(drawn, box, colour, line_of(drawn))
        labels.append(Label(box, f"located{letter(number, hit)}: {each.score:.2f}", colour))
    return labels


def letter(number: int, hit: Hit) -> str:
    """The letter of a phrase; empty if there is only one phrase."""
    return LETTERS[number % len(LETTERS)] if len(hit.matches) > 1 else ""


def scale_of(drawn: Image.Image, hit: Hit) -> float:
    """The scale from the index's pixels to the drawing's pixels: the photo width in the index may be wrong."""
    return drawn.width / max(hit.width, 1)


def line_of(drawn: Image.Image) -> int:
    return max(1, round(max(drawn.size) / LINES))


def scaled(box: Box, scale: float, left: float = 0, top: float = 0) -> Box:
    return Box((box.x1 - left) * scale, (box.y1 - top) * scale, (box.x2 - left) * scale, (box.y2 - top) * scale)


def outline(image: Image.Image, box: Box, colour: str, line: int) -> None:
    """A coloured line between two dark lines, visible on any background.

    The lines are outside the box, which may be small; at the edge of the photo they are inside.
    """
    pen = ImageDraw.Draw(image)
    x1, y1 = max(box.x1, 4 * line), max(box.y1, 4 * line)
    x2, y2 = min(box.x2, image.width - 4 * line), min(box.y2, image.height - 4 * line)
    for reach, width, fill in ((4, 1, "black"), (3, 2, colour), (1, 1, "black")):
        left, top = x1 - reach * line, y1 - reach * line
        right, bottom = max(left, x2 - 1 + reach * line), max(top, y2 - 1 + reach * line)
        pen.rectangle((left, top, right, bottom), outline=fill, width=width * line)


def place_labels(image: Image.Image, labels: Sequence[Label], line: int) -> list[Area]:
    """Writes each label where it covers no other label and as little as possible of any box. Returns their areas."""
    pen, letters = ImageDraw.Draw(image), font(12 * line)
    boxes = [label.box.as_tuple() for label in labels]
    placed: list[Area] = []
    for label in labels:
        left, top, right, bottom = pen.textbbox((0, 0), label.text, letters)
        size = (right - left + 6 * line, bottom - top + 6 * line)
        area = _place(image.size, label.box, size, placed, boxes)
        placed.append(area)
        pen.rectangle(area, fill="black", outline=label.colour, width=line)
        pen.text((area[0] + 3 * line - left, area[1] + 3 * line - top), label.text, "white", letters)
    return placed


def _place(
    photo: tuple[int, int], box: Box, size: tuple[float, float], placed: Sequence[Area], boxes: Sequence[Area]
) -> Area:
    """The first place that covers no label and no box, else the one that covers least; covering labels weighs most."""
    best, least = (0.0, 0.0, *size), float("inf")
    for x, y in _places(photo, box, size):
        area = (x, y, x + size[0], y + size[1])
        cost = 100 * sum(_overlap(area, other) for other in placed) + sum(_overlap(area, other) for other in boxes)
        if cost < least:
            best, least = area, cost
        if cost == 0:
            break
    return best


def _places(photo: tuple[int, int], box: Box, size: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Above and below the box, beside it, then farther and farther away; all inside the photo."""
    (width, height), gap = size, size[1] / 3
    for away in range(1 + photo[1] // max(1, round(height))):
        step = away * (height + gap)
        rows = (box.y1 - gap - height - step, box.y2 + gap + step)
        for y in rows:
            for x in (box.x1, box.x2 - width):
                yield _inside(x, photo[0] - width), _inside(y, photo[1] - height)
        for x in (box.x2 + gap, box.x1 - gap - width):
            for y in (box.y1 + step, box.y1 - step):
                yield _inside(x, photo[0] - width), _inside(y, photo[1] - height)


def _inside(place: float, most: float) -> float:
    return min(max(0.0, place), max(0.0, most))


def _overlap(one: Area, other: Area) -> float:
    """In square pixels."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def fitting(text: str, width: int, letters: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, shortened at its end if it is wider than so many pixels."""
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
