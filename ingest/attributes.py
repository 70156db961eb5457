"""Attributes of single photos, from a CSV file with a column `path`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sorce.errors import SorceError
from sorce.mappings import Attribute
from sorce.mappings.index import parse_attribute, refuse_bad_columns
from sorce.pictures.files import absolute
from sorce.pictures.names import composed, spellings
from sorce.pictures.source import Source

PATH = ("path", "file_name")
"""Names of the column that says which photo a row is about; the second one as in `metadata.csv` of Hugging Face."""

AttributesByPhoto = Mapping[str, Mapping[str, Attribute]]
"""The attributes of each photo, by its absolute path or URI."""


@dataclass(frozen=True)
class AttributeTable:
    """The rows of a file. `missing` are the paths of rows whose file does not exist."""

    file: Path | None = None
    rows: AttributesByPhoto = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def note(self) -> str | None:
        """A sentence about rows that name no file; None if there is none."""
        if not self.missing:
            return None
        return (
            f"'{self.file}': {len(self.missing):,} of {len(self.rows):,} rows name no file, such as {self.missing[0]}."
        )

    @classmethod
    def read(cls, file: Path) -> AttributeTable:
        """Reads `path,shop,aisle:int`: paths are relative to the file's own folder, and an empty cell sets nothing.

        A path may have backslashes as separators, if there is no file of the name as written.

        The columns are typed as `--set` types attributes. Raises SorceError for a file that is not such a table,
        with the line.
        """
        try:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                rows = dict(_rows(file, stream))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SorceError(f"the attributes in '{file}' cannot be read ({error}); write CSV in UTF-8.") from error
        missing = tuple(path for path in rows if "://" not in path and not Path(path).exists())
        return cls(file, rows, missing)


def attributes_of(source: Source, given: AttributesByPhoto) -> Mapping[str, Attribute]:
    """The attributes of one photo."""
    return given.get(composed(source.name)) or given.get(source.uri) or {}


def _rows(file: Path, lines: Iterator[str]) -> Iterator[tuple[str, Mapping[str, Attribute]]]:
    head = next(lines, "")
    # Spreadsheets of many countries write semicolons.
    separator = ";" if ";" in head and "," not in head else ","
    columns = [name.strip() for name in next(csv.reader([head], delimiter=separator), [])]
    place = next((columns.index(name) for name in PATH if name in columns), None)
    if place is None:
        raise SorceError(f"'{file}' has no column 'path', which names the photo of a row; add it.")
    try:
        refuse_bad_columns([name for number, name in enumerate(columns) if number != place])
    except SorceError as error:
        raise SorceError(f"'{file}': {error}.") from error
    seen = set[str]()
    reader = csv.reader(lines, delimiter=separator)
    for cells in reader:
        if not any(cells):
            continue
        where = f"'{file}', line {reader.line_num + 1}"
        if len(cells) != len(columns):
            raise SorceError(f"{where}: {len(cells)} cells, and the first line has {len(columns)}; correct the row.")
        path = _absolute(file, cells[place])
        if path in seen:
            raise SorceError(f"{where}: '{cells[place]}' has a row already; remove one of them.")
        seen.add(path)
        yield path, _attributes(where, columns, cells, place)


def _attributes(where: str, columns: list[str], cells: list[str], place: int) -> dict[str, Attribute]:
    try:
        return dict(
            parse_attribute(f"{column}={cell}")
            for number, (column, cell) in enumerate(zip(columns, cells, strict=True))
            if number != place and cell
        )
    except SorceError as error:
        raise SorceError(f"{where}: {error}") from error


def _absolute(file: Path, path: str) -> str:
    if "://" in path:
        return composed(path)
    paths = [absolute(str(Path(file.absolute().parent, spelling))) for spelling in spellings(path)]
    return composed(next((each for each in paths if Path(each).exists()), paths[0]))
