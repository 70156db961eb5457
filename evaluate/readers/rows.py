"""Checks the values of a row one by one. A bad row is left out and its place is reported; the other rows count."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import Remarks
from sorce.mappings.labels import Corners
from sorce.mappings.request import MAX_CHARACTERS

Row = Mapping[str, Any]
Identity = str | int | float

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
"""As JSON writes it: "007" stays a text."""

BAD_SIZE = "pictures whose 'width' or 'height' is not a positive number, their boxes taken as they are"


class BadRow(Exception):
    """A row that cannot be used. Its message follows the kind of row: "annotations", "that have no 'bbox'"."""


@contextmanager
def left_out(remarks: Remarks, rows: str, place: str) -> Iterator[None]:
    """Counts a row that turns out to be bad under its kind (`annotations`), and continues after the block."""
    try:
        yield
    except BadRow as error:
        remarks.add(f"{rows} {error}, left out", place)


def rows_of(content: Any, key: str, what: str) -> list[Any]:
    """A list of the label file. `what` names the file. Raises GroundTruthError where there is not a list."""
    rows = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(rows, list):
        raise GroundTruthError(f"{what} has no list '{key}'; name another label file with --ground-truth FILE.")
    return rows


def fields(row: Any) -> Row:
    """The row, which must be an object. Raises BadRow."""
    if not isinstance(row, Mapping):
        raise BadRow("that are not JSON objects")
    return row


def text(row: Row, key: str) -> str:
    """A text that is not blank. Raises BadRow."""
    found = _present(row, key)
    if not isinstance(found, str):
        raise BadRow(f"whose '{key}' is not text")
    return valid_text(found, f"whose '{key}'")


def valid_text(found: str, whose: str) -> str:
    """The text, unless it is blank or broken Unicode. Raises BadRow."""
    if not found.strip():
        raise BadRow(f"{whose} is blank")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise BadRow(f"{whose} is not valid UTF-8") from None
    return found


def query_text(row: Row, key: str) -> str:
    """A text that can be searched for. Raises BadRow."""
    return searchable(text(row, key), f"whose '{key}'")


def searchable(found: str, whose: str) -> str:
    """The text, unless it is too long for a search. Raises BadRow."""
    if len(found) > MAX_CHARACTERS:
        raise BadRow(f"{whose} is longer than {MAX_CHARACTERS:,} characters")
    return found


def class_name(row: Row, key: str) -> str:
    """The name of a class. Some files write it as a whole number. Raises BadRow."""
    found = _present(row, key)
    if isinstance(found, int) and not isinstance(found, bool):
        return searchable(str(found), f"whose '{key}'")
    return query_text(row, key).strip()


def identity(row: Row, key: str) -> Identity:
    """An id: a number or a text. A whole number may be written as text, so "7" is 7. Raises BadRow."""
    found = _present(row, key)
    # As keys of a dict, True would equal 1, and NaN could not be found again.
    if isinstance(found, bool) or not isinstance(found, (str, int, float)) or found != found:
        raise BadRow(f"whose '{key}' is neither a number nor a text")
    return int(found) if isinstance(found, str) and _WHOLE.fullmatch(found) else found


def shared_ids(named: Iterable[tuple[Identity, str]], why: str, remarks: Remarks) -> set[Identity]:
    """The ids that are used for several names, each with a remark."""
    names: dict[Identity, dict[str, None]] = defaultdict(dict)
    for key, name in named:
        names[key][name] = None
    shared = {key: several for key, several in names.items() if len(several) > 1}
    for several in shared.values():
        for name in several:
            remarks.add(why, name)
    return set(shared)


def items(row: Row, key: str) -> list[Any]:
    """A list, which may be empty. Raises BadRow."""
    found = _present(row, key)
    if not isinstance(found, list):
        raise BadRow(f"whose '{key}' is not a list")
    return found


def box_of_size(value: Any, key: str) -> Corners:
    """The corners of a box given as x, y, width, height. Raises BadRow."""
    x, y, width, height = _four_numbers(value, key)
    return checked((x, y, x + width, y + height), key)


def box_of_corners(value: Any, key: str) -> Corners:
    """The corners of a box given as x1, y1, x2, y2. Raises BadRow."""
    return checked(_four_numbers(value, key), key)


def checked(corners: Corners, key: str) -> Corners:
    """The corners, which must be in the right order but may enclose no area. Raises BadRow."""
    x1, y1, x2, y2 = corners
    if not all(map(math.isfinite, corners)):
        raise BadRow(f"whose '{key}' is not four finite numbers")
    if x2 < x1 or y2 < y1:
        raise BadRow(f"whose '{key}' has a negative width or height")
    return corners


def size(row: Row, remarks: Remarks, place: str) -> tuple[float, float] | None:
    """The picture's width and height in the row; None where they are missing or cannot be used."""
    if "width" not in row and "height" not in row:
        return None
    width, height = _finite(row.get("width")), _finite(row.get("height"))
    if width is None or height is None or width < 1 or height < 1:
        remarks.add(BAD_SIZE, place)
        return None
    return width, height


def _present(row: Row, key: str) -> Any:
    found = row.get(key)
    if found is None:
        raise BadRow(f"that have no '{key}'")
    return found


def _four_numbers(value: Any, key: str) -> Corners:
    if value is None or value == []:
        raise BadRow(f"that have no '{key}'")
    numbers = [_finite(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else []
    if len(numbers) != 4:
        raise BadRow(f"whose '{key}' is not four finite numbers")
    one, two, three, four = numbers
    if one is None or two is None or three is None or four is None:
        raise BadRow(f"whose '{key}' is not four finite numbers")
    return one, two, three, four


def _finite(value: Any) -> float | None:
    """A JSON number as a float. None for all else, also for true, NaN and numbers too large for a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
