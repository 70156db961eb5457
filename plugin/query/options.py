"""The search options of the command line: one for each field of a request that is marked as an option."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from sorce.locate import ZOOM
from sorce.mappings import Box
from sorce.mappings.example import Example, LikeRegion
from sorce.mappings.filters import Filter
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.option import OFF, Option, options_of
from sorce.mappings.request import MAX_NOTS, MAX_PHRASES, SearchRequest
from sorce.options import FiniteRange, several

Result = TypeVar("Result")

_PICTURE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PREFIX = "asked_"
"""The options' names inside the command, if they differ from the field names."""


def request(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command the text and all search options, as its argument `asked`."""

    @_asked
    @wraps(command)
    def called(*args: Any, text: tuple[str, ...], **given: Any) -> Result:
        mine = {name: given.pop(name) for name in list(given) if name.startswith(_PREFIX)}
        return command(*args, asked=parse_request(_at_most_one(text), mine), **given)

    return called


def filter_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command the search's conditions, for `parse_filter`."""
    return _filters(command)


def parse_filter(given: dict[str, Any]) -> Filter:
    """The conditions that the options describe. Raises QueryError."""
    return Filter(**{each.name: given[_PREFIX + each.name] for each, _ in options_of(Filter)})


def parse_request(text: Sequence[str], given: dict[str, Any]) -> SearchRequest:
    """The request that the options describe. Raises QueryError."""

    phrases = (*text, *given[f"{_PREFIX}and"])
    like, not_like = _examples(given, ""), _examples(given, "not_")
    options = {each.name: given[_PREFIX + each.name] for each, _ in options_of(SearchRequest)}
    if not phrases and not like:
        raise click.UsageError("say what to search for, in quotes; or give an example: --like or --like-region.")
    return SearchRequest(phrases, given[f"{_PREFIX}not"], like, not_like, filter=parse_filter(given), **options)


def _examples(given: dict[str, Any], negation: str) -> list[Example]:
    file, box, regions = (given[f"{_PREFIX}{negation}{name}"] for name in ("like", "box", "like_region"))
    if box is not None and file is None:
        no = negation.replace("_", "-")
        raise click.UsageError(f"--{no}box is a part of the picture that --{no}like names; give --{no}like FILE, too.")
    examples: list[Example] = [LikeRegion.parse(text) for text in regions]
    if file is None:
        return examples
    from sorce.plugin.query.picture import open_example

    return [open_example(file, box), *examples]


def parse_box(context: click.Context, option: click.Parameter, text: str | None) -> Box | None:  # noqa: ARG001
    """Reads `x1,y1,x2,y2`. Raises click.BadParameter."""
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(side) for side in text.split(","))
        return Box(x1, y1, x2, y2)
    except ValueError as error:
        raise click.BadParameter(f"'{text}' is not understood; write left,top,right,bottom in pixels.") from error


def _number_or_off(context: click.Context, option: click.Parameter, text: str) -> float | None:  # noqa: ARG001
    """Raises click.BadParameter."""
    if text == OFF:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise click.BadParameter(f"'{text}' is not understood; give a number, or {OFF}.") from error


def _at_most_one(text: tuple[str, ...]) -> tuple[str, ...]:
    if len(text) > 1:
        raise click.UsageError(f'the text is one argument; write it in quotes: "{" ".join(text)}"')
    return text


def _option(each: Field[Any], said: Option) -> Callable[[Any], Any]:
    arguments: dict[str, Any] = {"help": said.help, "metavar": said.metavar, "default": each.default}
    if said.kind is bool:
        arguments["is_flag"] = True
    else:
        arguments["type"] = click.Choice(said.choices) if said.choices else str if said.kind is date else said.kind
        arguments["multiple"] = said.repeated
        arguments["show_default"] = each.default not in (None, ())
        if said.may_be_off:
            arguments |= {"type": str, "callback": _number_or_off, "default": str(each.default)}
    return click.option(said.flag, _PREFIX + each.name, **arguments)


_filters = several(*(_option(each, said) for each, said in options_of(Filter)))

_asked = several(
    click.argument("text", nargs=-1),
    click.option(
        "--and",
        f"{_PREFIX}and",
        multiple=True,
        metavar="TEXT",
        help=f"Another thing that the photo must show; up to {MAX_PHRASES - 1}.",
    ),
    click.option(
        "--not",
        f"{_PREFIX}not",
        multiple=True,
        metavar="TEXT",
        help=f"A thing that counts against a photo; up to {MAX_NOTS}, with those of --not-like.",
    ),
    click.option(
        "--like",
        f"{_PREFIX}like",
        type=_PICTURE,
        metavar="FILE",
        help="Photos that look like this picture.",
    ),
    click.option(
        "--box",
        f"{_PREFIX}box",
        callback=parse_box,
        metavar="X1,Y1,X2,Y2",
        help="Only this part of it: left, top, right, bottom in its pixels.",
    ),
    click.option(
        "--like-region",
        f"{_PREFIX}like_region",
        multiple=True,
        metavar="PHOTO/REGION",
        help="Photos that look like this region of the index, as a table of hits names it.",
    ),
    click.option(
        "--not-like",
        f"{_PREFIX}not_like",
        type=_PICTURE,
        metavar="FILE",
        help="A picture that counts against a photo, as --not does.",
    ),
    click.option(
        "--not-box",
        f"{_PREFIX}not_box",
        callback=parse_box,
        metavar="X1,Y1,X2,Y2",
        help="Only this part of it.",
    ),
    click.option(
        "--not-like-region",
        f"{_PREFIX}not_like_region",
        multiple=True,
        metavar="PHOTO/REGION",
        help="A region of the index that counts against a photo.",
    ),
    *(_option(each, said) for each, said in options_of(SearchRequest)),
    _filters,
)

second_stage = several(
    click.option(
        "--locate",
        type=click.IntRange(0, MAX_CANDIDATES),
        default=0,
        metavar="N",
        help="Look at the first N hits again, below --root, and order them by what is seen.",
    ),
    click.option(
        "--localiser",
        default=ZOOM,
        show_default=True,
        metavar="zoom|NAME|FOLDER",
        help="What looks again: zoom (the index's own model), a detector, or a folder of PIZA.",
    ),
    click.option(
        "--min-located-score",
        type=FiniteRange(0, 1),
        default=0.0,
        show_default=True,
        help="Least score of each box of --locate after the first.",
    ),
)
