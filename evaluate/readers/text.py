"""Label files as text: found in the folder, decoded, and split into JSON or lines, each with its place."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import Remarks

# UTF-32 first: its mark begins with that of UTF-16.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
NOT_JSON = "lines that are not valid JSON, left out"
TRAILING_COMMA = "lines that end in a comma, which JSON lines must not, left out"

_LINE_END = re.compile(r"\r\n|\r|\n")


def file_of(folder: Path, given: Path | None, *patterns: str) -> Path:
    """The label file: the given one, else the only one in the folder. Raises GroundTruthError."""
    if given is not None:
        return given
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            raise GroundTruthError(
                f"'{folder}' holds {len(found)} files {pattern}; name one of them with --truth FILE."
            )
    raise GroundTruthError(f"'{folder}' holds no {' or '.join(patterns)}; name the label file with --truth FILE.")


def decode(content: bytes) -> str:
    """The text, without its byte order mark. Raises ValueError where it is no text.

    The encoding is UTF-8 unless a byte order mark says otherwise. Bytes that are not UTF-8 become lone surrogates, so
    that they cost only the row that they are in.
    """
    encoding = next((encoding for mark, encoding in BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError:
        raise ValueError(f"is not the {encoding.upper()} that its first bytes announce; save it as UTF-8") from None
    # Single ones are damage, and cost the row that they are in.
    if 4 * text.count("\0") > len(text):
        raise ValueError("holds zero bytes, as UTF-16 without a byte order mark does; save it as UTF-8")
    return text


def read_text(file: Path) -> str:
    """As `decode`. Raises GroundTruthError."""
    try:
        return decode(file.read_bytes())
    except OSError as error:
        raise GroundTruthError(f"'{file}' cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise GroundTruthError(f"'{file}' {error}.") from error


def lines_of(text: str) -> list[str]:
    """Split at line ends only: str.splitlines also splits at characters that may stand inside a JSON text (U+2028)."""
    return _LINE_END.split(text)


def read_json(file: Path) -> Any:
    """Raises GroundTruthError, which says at which line and column the JSON is wrong."""
    text = read_text(file)
    if not text.strip():
        raise GroundTruthError(f"'{file}' is empty; name another label file with --truth FILE.")
    try:
        return _parse(text)
    except json.JSONDecodeError as error:
        what = "a comma before a closing bracket" if _is_trailing_comma(error) else error.msg
        place = f"line {error.lineno}, column {error.colno}"
        raise GroundTruthError(f"'{file}' is not valid JSON: {what} ({place}).") from error
    except ValueError as error:
        raise GroundTruthError(f"'{file}' cannot be read as JSON: {error}.") from error


def json_lines(file: Path, remarks: Remarks) -> Iterator[tuple[str, Any]]:
    """Each line that is valid JSON, with its place for messages; others are remarked on. Raises GroundTruthError."""
    for number, line in enumerate(lines_of(read_text(file)), 1):
        if not line.strip():
            continue
        place = f"{file.name}, line {number}"
        try:
            row = _parse(line)
        except ValueError:
            remarks.add(TRAILING_COMMA if line.rstrip().endswith(",") else NOT_JSON, place)
        else:
            yield place, row


def _parse(text: str) -> Any:
    """Raises ValueError, also for what is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _is_trailing_comma(error: json.JSONDecodeError) -> bool:
    before, after = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()
    # Python 3.13 reports the place of the comma, older versions what comes after it.
    if after.startswith(","):
        after = after[1:].lstrip()
        return after[:1] in ("}", "]") and bool(after)
    return before.endswith(",") and after[:1] in ("}", "]") and bool(after)
