"""The text of label files: the file is found, decoded, and split into JSON or lines, each with its place."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import Remarks

# UTF-32 comes first: its byte order mark begins with that of UTF-16.
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
                f"'{folder}' holds {len(found)} files {pattern}; name one of them with --ground-truth FILE."
            )
    raise GroundTruthError(
        f"'{folder}' holds no {' or '.join(patterns)}; name the label file with --ground-truth FILE."
    )


def decode(content: bytes) -> str:
    """The text, without its byte order mark. Raises ValueError where the bytes are no text.

    The encoding is UTF-8 unless a byte order mark says otherwise. Bytes that are not UTF-8 become lone surrogates, so
    that only their own row is left out.
    """
    encoding = next((encoding for mark, encoding in BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError:
        raise ValueError(f"is not the {encoding.upper()} that its first bytes announce; save it as UTF-8") from None
    # Single bad bytes are damage: only their own row is left out.
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
    """Splits at line ends only. str.splitlines also splits at characters that JSON text may contain (U+2028)."""
    return _LINE_END.split(text)


def read_json(file: Path) -> Any:
    """Raises GroundTruthError with the line and column of the JSON error."""
    text = read_text(file)
    if not text.strip():
        raise GroundTruthError(f"'{file}' is empty; name another label file with --ground-truth FILE.")
    try:
        return _parse(text)
    except json.JSONDecodeError as error:
        what = "a comma before a closing bracket" if _is_trailing_comma(error) else error.msg
        place = f"line {error.lineno}, column {error.colno}"
        raise GroundTruthError(f"'{file}' is not valid JSON: {what} ({place}).") from error
    except ValueError as error:
        raise GroundTruthError(f"'{file}' cannot be read as JSON: {error}.") from error


def json_lines(file: Path, remarks: Remarks) -> Iterator[tuple[str, Any]]:
    """Each line that is valid JSON, with its place for messages; others add a remark. Raises GroundTruthError."""
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
    """Raises ValueError, also where the nesting is too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _is_trailing_comma(error: json.JSONDecodeError) -> bool:
    before, after = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()
    # Python 3.13 reports the place of the comma, older versions the place after it.
    if after.startswith(","):
        after = after[1:].lstrip()
        return after[:1] in ("}", "]") and bool(after)
    return before.endswith(",") and after[:1] in ("}", "]") and bool(after)
