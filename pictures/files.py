"""Files and folders as sources of photos, in a stable order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote

from sorce.errors import BadPhoto, SorceError
from sorce.mappings import Attribute, Rejected
from sorce.pictures.limits import MAX_BYTES
from sorce.pictures.loading import SUFFIXES, unreadable
from sorce.pictures.names import composed, matches
from sorce.pictures.source import Source
from sorce.pictures.stores import FileState


@dataclass(frozen=True, slots=True)
class Naming:
    """How a photo's identity is made from the path of its file.

    Without a root the URI is `file:///...` and the folder an absolute path. With a root both are relative to it, so
    that the same photos have the same identity on another machine. URIs are percent-encoded and keep the file's own
    spelling; folders and file names are as a person types them (`composed`).
    """

    root: Path | None = None

    def uri(self, file: Path) -> str:
        return file.as_uri() if self.root is None else quote(file.relative_to(self.root).as_posix())

    def folder(self, folder: Path) -> str:
        """`.` for the root itself."""
        return composed(folder.as_posix() if self.root is None else folder.relative_to(self.root).as_posix())

    def uris_below(self, folder: Path) -> str:
        """The prefix of the URIs of all photos below a folder; empty for the root, which contains them all."""
        return "" if folder == self.root else self.uri(folder).rstrip("/") + "/"

    def file(self, uri: str) -> Path | None:
        """The file of the photo with this URI; None for a URI that this naming does not produce."""
        absolute = uri.startswith("file://")
        if self.root is None:
            return Path(unquote(uri.removeprefix("file://"))) if absolute else None
        return None if absolute else self.root / unquote(uri)

    def source(self, file: Path, attributes: Mapping[str, Attribute] | None = None) -> Source | Rejected:
        """The photo of a file; `attributes` are its own."""
        try:
            str(file).encode()
        except UnicodeEncodeError:
            shown = os.fsencode(file).decode(errors="backslashreplace")
            return Rejected(shown, "has a name that is not UTF-8; rename it")
        if "\0" in str(file):
            return Rejected(str(file), "has a name that no file can have")
        state, name = state_of_file(file), composed(file.name)
        return Source(
            self.uri(file),
            self.folder(file.parent),
            name,
            str(file),
            partial(read, file),
            modified_at=state.modified_at,
            size=state.size,
            attributes=attributes or {},
        )


@dataclass(frozen=True, slots=True)
class Files:
    """The photos of files and folders, given by absolute paths.

    In folders and their subfolders, a file counts if its name ends like a picture's and no `ignore` pattern matches. A
    file given by its own path is always tried.
    """

    paths: Sequence[str]
    naming: Naming = Naming()
    ignore: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raises SorceError if a path is not below the root: it would have no identity."""
        root = self.naming.root
        for path in self.paths:
            if root is not None and not Path(path).is_relative_to(root):
                raise SorceError(f"'{path}' is not inside the root '{root}'; name a --root that holds all photos.")

    def __iter__(self) -> Iterator[Source | Rejected]:
        return (self.naming.source(path) for path, wanted in self._all() if wanted)

    def count(self) -> tuple[int, int]:
        """How many photos there are, and how many other files lie in the folders."""
        photos = others = 0
        for _, wanted in self._all():
            photos += wanted
            others += not wanted
        return photos, others

    def folders(self) -> list[Path]:
        """The folders among the paths, without those inside another."""
        named = {Path(path) for path in self.paths if is_folder(Path(path))}
        return sorted(folder for folder in named if named.isdisjoint(folder.parents))

    def _all(self) -> Iterator[tuple[Path, bool]]:
        """All files, each once, and whether each is wanted."""
        outermost = set(self.folders())
        # A dict, because it keeps the order.
        inside = {
            path: None
            for path in map(Path, self.paths)
            if not outermost.isdisjoint(path.parents) and not is_folder(path)
        }
        left = inside.copy()
        for path in map(Path, self.paths):
            if path in outermost:
                for found, wanted in self._below(path, frozenset()):
                    yield found, wanted or found in inside
                    left.pop(found, None)
            elif not is_folder(path) and path not in inside:
                yield path, True
        # Files that no folder walk reached, because their folder is ignored.
        yield from ((path, True) for path in left)

    def _below(self, folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[tuple[Path, bool]]:
        """Links to folders are followed, but not to a folder that contains them: that would never end."""
        try:
            here = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            yield folder, True  # rejected when it is read, with the reason
            return
        way = above | {(here.st_dev, here.st_ino)}
        if way == above:
            return
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and is_folder(path)):
                if not matches(path, self.ignore):
                    yield from self._below(path, way)
            else:
                yield path, self.wants(path)

    def reaches(self, path: Path) -> bool:
        """Whether it lies below one of the folders, and neither it nor a folder in between is ignored."""
        above = [[each for each in path.parents if each.is_relative_to(folder)] for folder in self.folders()]
        return any(way and not any(matches(each, self.ignore) for each in (path, *way[:-1])) for way in above)

    def wants(self, path: Path) -> bool:
        """Whether a file in a folder counts as a photo."""
        return path.suffix.lower() in SUFFIXES and not matches(path, self.ignore)


def absolute(path: str) -> str:
    """Absolute and without `..`, but links stay as given: they are part of a photo's identity."""
    return os.path.abspath(path)  # noqa: PTH100  (Path.resolve follows links)


def absolute_path(path: str) -> Path:
    return Path(absolute(path))


def named(paths: Iterable[str], lines: Iterable[str]) -> list[str]:
    """Paths as absolute ones, each once; `-` stands for the lines of a list."""
    found: dict[str, None] = {}
    for path in paths:
        given = (line.rstrip("\r\n") for line in lines) if path == "-" else [path]
        found.update((absolute(each), None) for each in given if each)
    return list(found)


def is_folder(path: Path) -> bool:
    """Also False for a path that may not be accessed: there Path.is_dir raises before Python 3.14."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def state_of_file(path: Path) -> FileState:
    """Its size, and when it was last changed, unless that time is invalid. Empty if its status cannot be read."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return FileState()
    try:
        return FileState(status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
    except (ValueError, OverflowError):
        return FileState(status.st_size)


def is_gone(path: Path) -> bool:
    """Whether nothing is there: true for a link without a target, false if access is denied."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def read(file: Path) -> bytes:
    """The bytes of a photo. Raises BadPhoto."""
    try:
        status = file.stat()
        # Checked before opening: opening a FIFO would block for ever.
        if not stat.S_ISREG(status.st_mode):
            folder = stat.S_ISDIR(status.st_mode)
            raise BadPhoto("is a folder that may not be read" if folder else "is not a regular file")
        if status.st_size > MAX_BYTES:
            raise BadPhoto(f"is larger than {MAX_BYTES >> 20} MB")
        with open(file, "rb", opener=_without_waiting) as stream:  # Path.open takes no opener
            before = os.fstat(stream.fileno())
            # No more than the size at opening: a file that is being written must not grow without limit here.
            content = stream.read(before.st_size)
            after = os.fstat(stream.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise BadPhoto("was changed while it was read; run the same command again")
        return content
    except OSError as error:
        raise BadPhoto(unreadable(error)) from error


def _without_waiting(path: str, flags: int) -> int:
    """Opens without blocking, in case the file has become a FIFO meanwhile."""
    return os.open(path, flags | os.O_NONBLOCK)
