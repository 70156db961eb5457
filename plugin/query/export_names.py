"""Names of photos in exported files: relative paths that lead nowhere else, each once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from sorce.errors import BadPhoto
from sorce.mappings import Hit
from sorce.pictures.files import absolute_path
from sorce.pictures.names import composed, portable
from sorce.pictures.uris import path_of

MAX_PART = 120
"""Maximum bytes of a folder's or file's name in an archive: file systems allow 255."""

_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{i}" for name in ("com", "lpt") for i in range(1, 10))})
"""Windows opens a device instead of a file of this name, with any suffix."""


def photo_names(photos: Sequence[Hit], roots: Sequence[Path] = ()) -> dict[str, str]:
    """By photo id, the photo's path with `/`, relative to a folder; each path once.

    An index whose paths are relative has it already. An absolute path becomes relative to the root, or to the folder
    that all roots are in. Without roots it is the deepest folder that all these photos are in. A photo outside that
    folder, or of another kind of URI, goes by its file name alone.
    """
    paths = {photo.photo_id: _path(photo) for photo in photos}
    folders = [absolute_path(str(root)) for root in roots] or [
        path.parent for path in paths.values() if path is not None and path.is_absolute()
    ]
    base = Path(os.path.commonpath(folders)) if folders else None
    taken: set[str] = set()
    return {photo.photo_id: unique(_name(photo, paths[photo.photo_id], base), taken, str) for photo in photos}


def _path(photo: Hit) -> Path | None:
    try:
        return path_of(photo.uri, None) if urlsplit(photo.uri).scheme in ("", "file") else None
    except (BadPhoto, ValueError):
        return None


def _name(photo: Hit, path: Path | None, base: Path | None) -> str:
    if path is not None and path.is_absolute():
        bases = () if base is None else (base, base.resolve())
        path = next((path.relative_to(each) for each in bases if path.is_relative_to(each)), None)
    if path is None or ".." in path.parts or path.name == "":
        return PurePosixPath(photo.file_name.replace("\\", "/")).name or photo.photo_id
    return path.as_posix()


def unique(name: str, taken: set[str], same: Callable[[str], str] = str.casefold) -> str:
    """The name, with a number if it is taken, and takes it. Two names are one if `same` gives the same text for both.

    By default upper case does not count: many file systems ignore it.
    """
    path, number, found = PurePosixPath(name), 1, name
    while same(found) in taken:
        number += 1
        found = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    taken.add(same(found))
    return found


def safe_path(name: str) -> str:
    """A path for an archive that every system can unpack, and that stays below the folder where it is unpacked."""
    parts = (safe_part(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))
    return "/".join(parts) or "photo"


def safe_part(part: str) -> str:
    """One name of a path: only characters that every system allows, and at most MAX_PART bytes, with its suffix."""
    part = portable(composed(part))
    stem, suffix = os.path.splitext(part)  # noqa: PTH122  (a part may be `..jpg`)
    suffix = suffix if len(suffix.encode()) <= 16 else ""
    stem = stem if suffix else part
    stem = stem.encode()[: MAX_PART - len(suffix.encode())].decode(errors="ignore")
    found = f"{stem}{suffix}".rstrip(". ")
    return f"_{found}" if not found or found.split(".")[0].casefold() in _DEVICES else found


def all_unique(names: Iterable[str]) -> list[str]:
    """Safe paths for an archive, in order, each once."""
    taken: set[str] = set()
    return [unique(safe_path(name), taken) for name in names]
