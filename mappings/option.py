"""How a search field is given, and which values it accepts: defined once, beside the field.

The command's options, the template's parameters and the value checks are generated from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from datetime import date
from math import inf
from numbers import Integral, Real
from typing import Any

from sorce.errors import QueryError

MAX_BYTES = 990
"""Maximum UTF-8 bytes of a condition: OpenSearch 2.19 accepts no longer prefix, and long ones need much memory."""

OFF = "off"
_OPTION = "option"
_MAX_SHOWN = 80


class Placeholder(str):
    """What the stored template writes in place of the client's value; it is never checked."""


def is_placeholder(value: object) -> bool:
    return isinstance(value, Placeholder)


@dataclass(frozen=True, slots=True)
class Option:
    """`kind` is str, int, float, bool or date; a `repeated` option holds several. The bounds are inclusive.

    `in_template` says that the stored template accepts it as a parameter with the field's name. If it `may_be_off`, the
    word `off` on the command line stands for None.
    """

    flag: str
    help: str
    kind: type = str
    metavar: str | None = None
    least: float = -inf
    most: float = inf
    choices: tuple[str, ...] = ()
    repeated: bool = False
    in_template: bool = False
    may_be_off: bool = False

    def written(self, value: Any) -> str:
        """The value as the command line takes it."""
        return OFF if value is None else str(value)

    def checked(self, name: str, value: Any) -> Any:
        """The value as stored: several values as a tuple, a day as YYYY-MM-DD. Raises QueryError."""
        if isinstance(value, Placeholder) or (value is None and not self.repeated):
            return value
        if self.repeated:
            return tuple(self._one(name, each) for each in listed(name, value))
        return self._one(name, value)

    def _one(self, name: str, value: Any) -> Any:
        if self.kind is bool:
            return _checked_flag(name, value)
        if self.kind is date:
            return _checked_day(name, value)
        if self.kind is str:
            return self._text(name, value)
        wanted, word = (Integral, "a whole number") if self.kind is int else (Real, "a number")
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise QueryError(f"{name} is {_shown(value)}; give {word}.")
        # Written so that NaN fails, too.
        if not self.least <= self.kind(value) <= self.most:
            raise QueryError(f"{name} is {value}, which is out of range; choose {self.least:g} to {self.most:g}.")
        return value

    def _text(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise QueryError(f"{name} is {_shown(value)}; give a text.")
        refuse_half("a condition", value)
        if (size := len(value.encode())) > MAX_BYTES:
            raise QueryError(f"a condition of {size} bytes is too long; use at most {MAX_BYTES}.")
        if self.choices and value not in self.choices:
            raise QueryError(f"{name} is {_shown(value)}, which does not exist; choose from {', '.join(self.choices)}.")
        return value


def option(default: Any, flag: str, text: str, kind: type = str, **more: Any) -> Any:
    """A dataclass field that is also an option; `more` holds fields of `Option`."""
    return field(default=default, metadata={_OPTION: Option(flag, text, kind, **more)})


def options_of(kind: Any) -> Iterator[tuple[Field[Any], Option]]:
    """The fields of a dataclass (or of an instance) that are options, in their order."""
    for each in fields(kind):
        if _OPTION in each.metadata:
            yield each, each.metadata[_OPTION]


def check_options(values: Any) -> None:
    """Checks the options of a new frozen dataclass, and normalises them. Raises QueryError."""
    for each, said in options_of(values):
        object.__setattr__(values, each.name, said.checked(each.name, getattr(values, each.name)))


def refuse_reversed(values: Any, least: str, most: str) -> None:
    """Raises QueryError if both bounds are given and the lower one exceeds the upper one."""
    low, high = getattr(values, least), getattr(values, most)
    if low is not None and high is not None and low > high:
        raise QueryError(f"{least} is {low} and {most} is {high}, and nothing lies between; exchange them.")


def refuse_half(what: str, text: str) -> None:
    """Raises QueryError for text that cannot be sent as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"{what} is not valid UTF-8 (it holds half a character); write it in UTF-8.") from error


def listed(name: str, values: Any) -> tuple[Any, ...]:
    """The values as a tuple; a single text is a list of one, since it would be split into its letters.

    None is an empty list. Raises QueryError for a value that is no list, and for bytes and mappings, which Python would
    take for one.
    """
    if values is None or isinstance(values, str):
        return () if values is None else (values,)
    if isinstance(values, bytes | bytearray | Mapping) or not isinstance(values, Iterable):
        raise QueryError(f"{name} is {_shown(values)}; give a text, or a list of texts.")
    return tuple(values)


def refuse_unless_texts(name: str, values: Sequence[Any]) -> None:
    """Raises QueryError for a value that is not text."""
    for value in values:
        if not isinstance(value, str):
            raise QueryError(f"{name} holds {_shown(value)}; give texts.")


def _shown(value: object) -> str:
    """The value for a message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]} ..."


def _checked_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise QueryError(f"{name} is {_shown(value)}; give True or False.")
    return value


def _checked_day(name: str, value: Any) -> str:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else value
        if type(day) is date:
            return day.isoformat()
    except ValueError:
        pass
    raise QueryError(f"{name} is {_shown(value)}; write a day as YYYY-MM-DD, such as 2026-01-31.")
