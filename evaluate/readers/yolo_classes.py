"""The classes of a YOLO benchmark: their names, and how many numbers the key points of an object have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sorce.errors import GroundTruthError
from sorce.evaluate.ground_truth import Remarks
from sorce.evaluate.readers.rows import BadRow, left_out, searchable, shared_ids, valid_text
from sorce.evaluate.readers.text import lines_of, read_text

SHARED = "classes that share a number with another one, left out, as their boxes could be of either"

_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Classes:
    """Names by number. `key_point_numbers` is how many follow the box in a row of a pose; None without poses."""

    names: Mapping[int, str]
    key_point_numbers: int | None = None


def read_classes(file: Path, remarks: Remarks) -> Classes:
    """Reads a YAML file, or a text file with one name per line. Raises GroundTruthError."""
    text = read_text(file)
    if file.suffix.lower() not in (".yaml", ".yml"):
        return Classes(_names(enumerate(lines_of(text)), file, remarks))
    content = _yaml(text, file)
    listed = content.get("names") if isinstance(content, dict) else None
    if not isinstance(listed, (list, dict)):
        raise GroundTruthError(
            f"'{file}' has no 'names', a list or a mapping; name another file with --ground-truth FILE."
        )
    if twice := [key for key in ("names", "kpt_shape") if sum(each == key for each, _ in content.pairs) > 1]:
        raise GroundTruthError(f"'{file}' has '{twice[0]}' twice; remove one of them.")
    numbered = listed.pairs if isinstance(listed, _Mapping) else enumerate(listed)
    return Classes(_names(numbered, file, remarks), _key_point_numbers(content.get("kpt_shape"), file))


class _Mapping(dict[Any, Any]):
    """A mapping with all its `pairs`: of a key that is written twice, a dict alone keeps the last value only."""

    pairs: list[tuple[Any, Any]]


class _Loader(yaml.BaseLoader):  # type: ignore[misc]
    """All values as text: YAML would read the names yes, no and 007 as True, False and 7."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> _Mapping:
        found = _Mapping(super().construct_mapping(node, deep))
        # What was constructed is not constructed again.
        found.pairs = [(self.construct_object(key), self.construct_object(value)) for key, value in node.value]
        return found


def _yaml(text: str, file: Path) -> Any:
    """Raises GroundTruthError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise GroundTruthError(f"'{file}' is not valid YAML: {error.problem or error.context}{place}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise GroundTruthError(f"'{file}' is not valid YAML: it holds a character that YAML forbids.") from error
    except RecursionError:
        raise GroundTruthError(f"'{file}' cannot be read as YAML: it is nested too deeply.") from None


def _names(numbered: Iterable[tuple[Any, Any]], file: Path, remarks: Remarks) -> dict[int, str]:
    """The names that are not blank. A blank name in a list means that this number is not used."""
    names = []
    for place, (number, name) in enumerate(numbered, 1):
        if isinstance(name, str) and not name.strip():
            continue
        with left_out(remarks, "class names", f"{file.name}, name {place}"):
            # The key of a mapping may be a number or its text.
            if not (isinstance(number, (int, str)) and _NUMBER.fullmatch(str(number))):
                raise BadRow("whose number is not a whole number")
            if not isinstance(name, str):
                raise BadRow("that are not texts")
            names.append((int(number), searchable(valid_text(name, "whose text"), "whose text").strip()))
    shared = shared_ids(names, SHARED, remarks)
    return {number: name for number, name in names if number not in shared}


def _key_point_numbers(shape: Any, file: Path) -> int | None:
    """The product of `kpt_shape`: the number of key points times 2 or 3 numbers each. Raises GroundTruthError."""
    if shape is None:
        return None
    is_shape = isinstance(shape, list) and len(shape) == 2
    if not is_shape or not all(isinstance(each, str) and _NUMBER.fullmatch(each) for each in shape):
        raise GroundTruthError(f"'{file}' has a 'kpt_shape' that is not a list of two whole numbers, such as [17, 3].")
    points, numbers = map(int, shape)
    return points * numbers
