"""Looks at photos that a user names, without an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sorce.errors import BadPhoto, SorceError
from sorce.locate.opening import open_localiser
from sorce.mappings import Box, Located, LocateRequest, Picture, Rejected
from sorce.mappings.request import SearchRequest
from sorce.models import load_encoder
from sorce.models.methods import Runtime
from sorce.pictures.ahead import opened_ahead
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.marks import COLOURS, Label, drawable, line_of, outline, place_labels, scaled
from sorce.pictures.names import file_stem
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.uris import content_named
from sorce.terminal import printable

STEPS_COLOUR = "#bbbbbb"


@dataclass(frozen=True, slots=True)
class LocatedPhoto:
    """A photo, its size in pixels, and what was seen in it."""

    path: str
    width: int
    height: int
    located: Located


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen in all photos, in the order given, and those that could not be opened."""

    text: str
    localiser: str
    found: tuple[LocatedPhoto, ...]
    rejected: tuple[Rejected, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON; boxes are x1, y1, x2, y2 in pixels of the upright photo."""
        return {
            "text": self.text,
            "localiser": self.localiser,
            "photos": [
                {"photo": each.path, "width": each.width, "height": each.height, **each.located.as_dict()}
                for each in self.found
            ],
            "not_opened": [{"photo": each.path, "reason": each.reason} for each in self.rejected],
        }

    def table(self) -> str:
        """One line per thing; a photo's first line has its number of things and of steps."""
        head = ("things", "steps", "score", "box", "photo")
        rows = [head, *(row for each in self.found for row in _rows(each))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def look_at(text: str, paths: Sequence[str], given: Mapping[str, Any]) -> Looked:
    """Opens the localiser, then each photo in a process of its own. `given` are the options of `sorce locate`.

    Raises QueryError for a blank text, ModelError, and SorceError if a drawing cannot be written.
    """
    [text] = SearchRequest([text]).phrases
    runtime, trust = Runtime(given["device"]), given["trust_remote_code"]
    localiser = open_localiser(
        given["localiser"],
        lambda: load_encoder(given["model"], given["device"], trust_remote_code=trust),
        runtime,
        trust,
    )
    found: list[LocatedPhoto] = []
    rejected: list[Rejected] = []
    with (
        closing(DecoderPool(DecodeLimits())) as decoders,
        opened_ahead(paths, lambda path: decoders.picture(content_named(path), path)) as pictures,
    ):
        for path, picture in zip(paths, pictures, strict=True):
            if isinstance(picture, BadPhoto):
                rejected.append(Rejected(path, str(picture)))
                continue
            [located] = localiser.locate([LocateRequest(picture, text)], given["boxes"], given["least"])
            found.append(LocatedPhoto(path, picture.width, picture.height, located))
            if given["save"] is not None:
                _write(given["save"], len(found), picture, located)
    return Looked(text, localiser.name, tuple(found), tuple(rejected))


def drawn(photo: Image.Image, located: Located) -> Image.Image:
    """A copy with the steps in grey, and each thing with its number and score."""
    copy = drawable(photo)
    scale, line = copy.width / photo.width, line_of(copy)
    for step in located.steps:
        outline(copy, scaled(step, scale), STEPS_COLOUR, max(1, line // 2))
    labels = []
    for number, each in enumerate(located.instances, 1):
        box: Box = scaled(each.box, scale)
        outline(copy, box, COLOURS[0], line)
        labels.append(Label(box, f"{number}: {each.score:.2f}", COLOURS[0]))
    place_labels(copy, labels, line)
    return copy


def _write(folder: Path, number: int, picture: Picture, located: Located) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn(picture.image, located).save(folder / f"{number:02}-{file_stem(picture.name)}.jpg", quality=90)
    except OSError as error:
        raise SorceError(
            f"'{folder}' cannot be written to ({error.strerror or error}); name a folder that can."
        ) from error


def _rows(photo: LocatedPhoto) -> Iterator[tuple[str, ...]]:
    located = photo.located
    first = (str(len(located.instances)), str(len(located.steps)))
    place = printable(photo.path)
    for each in located.instances:
        box = ",".join(f"{side:.0f}" for side in each.box.as_tuple())
        yield (*first, f"{each.score:.4f}", box, place)
        first, place = ("", ""), ""
