"""All photos that a run is given: files and folders, stores, archives, and lists."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

from sorce.ingest.index import Types
from sorce.ingest.lists import PhotoList
from sorce.mappings import Rejected
from sorce.pictures.files import Files
from sorce.pictures.remote import StorePhotos, named_source
from sorce.pictures.source import Source


@dataclass(frozen=True, slots=True)
class NamedPhotos:
    """Photos of a list on standard input, each named by its URI."""

    uris: Sequence[str]

    def __iter__(self) -> Iterator[Source | Rejected]:
        return map(named_source, self.uris)

    def count(self) -> tuple[int, int]:
        return len(self.uris), 0


@dataclass(frozen=True)
class Sources:
    """The photos of a command line, in its order. `files` are those on this machine."""

    files: Files
    others: Sequence[StorePhotos | PhotoList | NamedPhotos] = ()

    def __iter__(self) -> Iterator[Source | Rejected]:
        """Raises SorceError for a store or a list that cannot be read."""
        return chain(self.files, *self.others)

    def count(self) -> tuple[int, int]:
        """How many photos there are, and how many other files. Raises SorceError."""
        counts = [each.count() for each in (self.files, *self.others)]
        return sum(photos for photos, _ in counts), sum(others for _, others in counts)

    @property
    def are_local(self) -> bool:
        """Whether some lie on this machine, or may."""
        return bool(self.files.paths) or any(isinstance(each, PhotoList) for each in self.others)

    def types(self) -> Types:
        """The mapping of each attribute that a list gives. Raises SorceError."""
        return {
            name: kind for each in self.others if isinstance(each, PhotoList) for name, kind in each.types().items()
        }


def once(sources: Iterable[Source | Rejected]) -> Iterator[Source | Rejected]:
    """Each photo once: a second source of the same photo in a run is rejected, with the reason."""
    # A table in a temporary file: ten million ids would need a gigabyte of memory.
    with closing(sqlite3.connect("")) as seen:
        seen.execute("PRAGMA synchronous = OFF")
        seen.execute("CREATE TABLE seen (id BLOB PRIMARY KEY, name TEXT) WITHOUT ROWID")
        for source in sources:
            if isinstance(source, Source):
                row = bytes.fromhex(source.photo_id), source.name
                if not seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", row).rowcount:
                    [(first,)] = seen.execute("SELECT name FROM seen WHERE id = ?", row[:1])
                    yield Rejected(source.name, f"is the same photo as '{first}' of this run (both are {source.uri})")
                    continue
            yield source
