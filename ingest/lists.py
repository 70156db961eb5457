"""Lists of photos with attributes by column: CSV or Parquet, on a disk or in a store."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import IO, Any

from sorce.errors import BadPhoto, SorceError
from sorce.ingest.index import Types
from sorce.mappings import Attribute, Rejected
from sorce.mappings.index import (
    ATTRIBUTE_NAME,
    attribute_type,
    parse_attribute,
    refuse_bad_columns,
    refuse_unstorable,
)
from sorce.pictures.files import Naming, absolute_path
from sorce.pictures.remote import is_remote, named_source
from sorce.pictures.source import Source
from sorce.pictures.stores import filesystem, reading, scheme_of
from sorce.pictures.uris import path_of

PLACES = ("uri", "url", "path", "file_name")
"""Names of the column that says where a photo is."""

SAMPLES: Mapping[str, Attribute] = {"int": 0, "float": 0.0, "date": datetime(2000, 1, 1, tzinfo=UTC)}

Row = tuple[str, dict[str, Attribute]]


@dataclass(frozen=True)
class PhotoList:
    """A list of photos. It is read row by row, so it may be longer than the memory.

    The column `uri` (or `url`, `path`) names a photo; a relative path starts from the list's own folder. Each other
    column is an attribute. In CSV its type is in its name (`aisle:int`), as in --set; in Parquet it is the column's.
    """

    file: str
    naming: Naming = field(default_factory=Naming)

    def __iter__(self) -> Iterator[Source | Rejected]:
        """Raises SorceError if the list cannot be read, with the line."""
        for number, (place, attributes) in enumerate(self._rows(), 1):
            yield (
                self._source(place, attributes) if place else Rejected(f"row {number} of {self.file}", "names no photo")
            )

    def count(self) -> tuple[int, int]:
        """How many photos it names. Raises SorceError."""
        return sum(1 for _ in self._rows()), 0

    def types(self) -> Types:
        """The mapping of each attribute. Raises SorceError."""
        return self._parquet_types() if self.is_parquet else self._csv_types()

    @property
    def is_parquet(self) -> bool:
        return self.file.lower().endswith((".parquet", ".pq"))

    def _source(self, place: str, attributes: dict[str, Attribute]) -> Source | Rejected:
        if is_remote(place):
            return named_source(place, attributes)
        if is_remote(self.file):
            return Rejected(place, "is a path in a list that lies in a store; write its whole URI")
        try:
            named = path_of(place, None) if place.startswith("file:") else Path(place)
        except BadPhoto as error:
            return Rejected(place, str(error))
        file = absolute_path(str(Path(absolute_path(self.file).parent, named)))
        if self.naming.root is not None and not file.is_relative_to(self.naming.root):
            return Rejected(place, f"is not inside the root '{self.naming.root}'")
        return self.naming.source(file, attributes)

    def _rows(self) -> Iterator[Row]:
        return self._parquet_rows() if self.is_parquet else self._csv_rows()

    def _csv_rows(self) -> Iterator[Row]:
        with self._open() as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as lines:
            reader = _csv(lines)
            columns: list[str] = next(reader, [])
            place = self._place(columns)
            for cells in reader:
                if not any(cells):
                    continue
                if len(cells) != len(columns):
                    raise self._wrong(f"line {reader.line_num} has {len(cells)} cells for {len(columns)} columns")
                given = [each for number, each in enumerate(zip(columns, cells, strict=True)) if number != place]
                try:
                    yield cells[place], dict(parse_attribute(f"{name}={cell}") for name, cell in given if cell)
                except SorceError as error:
                    raise self._wrong(f"line {reader.line_num}: {error}") from error

    def _csv_types(self) -> Types:
        with self._open() as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as lines:
            columns: list[str] = next(_csv(lines), [])
        place = self._place(columns)
        others = [name for number, name in enumerate(columns) if number != place]
        try:
            refuse_bad_columns(others)
        except SorceError as error:
            raise self._wrong(str(error)) from error
        named = [name.partition(":") for name in others if name]
        return {name: attribute_type(SAMPLES.get(kind, "")) for name, _, kind in named}

    def _parquet_rows(self) -> Iterator[Row]:
        with self._open() as stream:
            table = self._parquet(stream)
            (place, _), number = self._columns(table.schema_arrow), 0
            for batch in table.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number, values = number + 1, list(row.items())
                    given = {name: value for column, (name, value) in enumerate(values) if column != place}
                    try:
                        yield str(values[place][1] or ""), _attributes(given)
                    except SorceError as error:
                        raise self._wrong(f"row {number}: {error}") from error

    def _parquet_types(self) -> Types:
        with self._open() as stream:
            return self._columns(self._parquet(stream).schema_arrow)[1]

    def _columns(self, schema: Any) -> tuple[int, Types]:
        """The number of the column that names the photos, and the mapping of each other one. Raises SorceError."""
        import pyarrow.types as kinds

        place, types = self._place(schema.names), {}
        for number, column in enumerate(schema):
            sample: Attribute | None = None
            if _is_text(column.type):
                sample = ""
            elif kinds.is_integer(column.type):
                sample = 0
            elif kinds.is_floating(column.type):
                sample = 0.0
            elif kinds.is_timestamp(column.type) or kinds.is_date(column.type):
                sample = SAMPLES["date"]
            # A column of nothing has no type, as pandas writes it.
            elif number != place and kinds.is_null(column.type):
                continue
            if sample is None or (number == place and sample != ""):
                wanted = "text" if number == place else "text, a number or a date"
                raise self._wrong(f"column '{column.name}' is {column.type}; make it {wanted}")
            if number != place:
                if not ATTRIBUTE_NAME.fullmatch(column.name):
                    raise self._wrong(
                        f"column '{column.name}' is no name of an attribute; write letters, digits, _ and -"
                    )
                types[column.name] = attribute_type(sample)
        return place, types

    def _parquet(self, stream: IO[bytes]) -> Any:
        try:
            import pyarrow.parquet as pq
        except ImportError as error:
            raise SorceError("a list in Parquet needs a package: pip install 'sorce[cloud]'.") from error
        return pq.ParquetFile(stream)

    def _place(self, columns: list[str]) -> int:
        found = next((columns.index(name) for name in PLACES if name in columns), None)
        if found is None:
            raise self._wrong("no column is named 'uri', which says where a photo is")
        if len(set(columns)) < len(columns):
            raise self._wrong(f"two columns are named '{Counter(columns).most_common(1)[0][0]}'")
        return found

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        try:
            with reading(self.file), self._stream() as stream:
                yield stream
        except BadPhoto as error:
            raise self._wrong(f"it {error}") from error
        except UnicodeDecodeError as error:
            raise self._wrong("it is not UTF-8; save it as such") from error
        except (ValueError, NotImplementedError, csv.Error) as error:
            raise self._wrong(str(error).splitlines()[0].rstrip(".")) from error

    def _stream(self) -> IO[bytes]:
        scheme = scheme_of(self.file)
        if scheme is None:
            return open(self.file, "rb")  # noqa: PTH123
        stream: IO[bytes] = filesystem(scheme).open(self.file, "rb")
        return stream

    def _wrong(self, why: str) -> SorceError:
        return SorceError(f"the list '{self.file}' cannot be used: {why.rstrip('.')}.")


def _csv(lines: Iterator[str]) -> Any:
    """Spreadsheets of many countries write semicolons."""
    head = next(lines, "")
    return csv.reader(chain([head], lines), delimiter=";" if ";" in head and "," not in head else ",")


def _attributes(row: Mapping[str, Any]) -> dict[str, Attribute]:
    """Of a row of Parquet. Raises SorceError."""
    found: dict[str, Attribute] = {}
    for name, value in row.items():
        # Libraries that know no missing number write NaN.
        if value is None or value != value:
            continue
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        refuse_unstorable(f"{name}={value}", value)
        found[name] = value
    return found


def _is_text(kind: Any) -> bool:
    """Whether it is a column's type of text; also the one that pandas gives to categories."""
    import pyarrow.types as kinds

    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))
