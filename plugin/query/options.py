"""The search options of the command line: one for each field of a request that is marked as an option."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field
from datetime import date
from functools import wraps
from typing import Any, TypeVar

import click

from sorce.mappings.filters import Filter
from sorce.mappings.option import Option, options_of
from sorce.mappings.request import MOST_NOTS, MOST_PHRASES, SearchRequest
from sorce.options import several

Result = TypeVar("Result")

_PREFIX = "asked_"
"""The options' names inside the command, if they differ from the field names."""


def request(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command the text and all search options, as its argument `asked`."""

    @_asked
    @wraps(command)
    def called(*args: Any, text: tuple[str, ...], **given: Any) -> Result:
        mine = {name: given.pop(name) for name in list(given) if name.startswith(_PREFIX)}
        return command(*args, asked=parse_request(_one(text), mine), **given)

    return called


def parse_request(text: str, given: dict[str, Any]) -> SearchRequest:
    """The request that the options describe. Raises QueryError."""

    def of(kind: type[SearchRequest] | type[Filter]) -> dict[str, Any]:
        return {each.name: given[_PREFIX + each.name] for each, _ in options_of(kind)}

    phrases = (text, *given[f"{_PREFIX}and"])
    return SearchRequest(phrases, given[f"{_PREFIX}not"], filter=Filter(**of(Filter)), **of(SearchRequest))


def _one(text: tuple[str, ...]) -> str:
    if not text:
        raise click.UsageError("say what to search for, in quotes.")
    if len(text) > 1:
        raise click.UsageError(f'the text is one argument; write it in quotes: "{" ".join(text)}"')
    return text[0]


def _option(each: Field[Any], said: Option) -> Callable[[Any], Any]:
    arguments: dict[str, Any] = {"help": said.help, "metavar": said.metavar, "default": each.default}
    if said.kind is bool:
        arguments["is_flag"] = True
    else:
        arguments["type"] = click.Choice(said.choices) if said.choices else str if said.kind is date else said.kind
        arguments["multiple"] = said.repeated
        arguments["show_default"] = each.default not in (None, ())
    return click.option(said.flag, _PREFIX + each.name, **arguments)


_asked = several(
    click.argument("text", nargs=-1),
    click.option(
        "--and",
        f"{_PREFIX}and",
        multiple=True,
        metavar="TEXT",
        help=f"Another thing that the photo must show; up to {MOST_PHRASES - 1}.",
    ),
    click.option(
        "--not",
        f"{_PREFIX}not",
        multiple=True,
        metavar="TEXT",
        help=f"A thing that counts against a photo; up to {MOST_NOTS}.",
    ),
    *(_option(each, said) for kind in (SearchRequest, Filter) for each, said in options_of(kind)),
)
