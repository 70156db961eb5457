"""File names as label files and people write them: in any Unicode form, with either separator."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import PurePath, PurePosixPath

MAX_NAME = 100
"""Maximum bytes of a photo's name in a file name: file systems allow 255 in all."""


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): macOS writes ü as two characters, most other systems as one."""
    return unicodedata.normalize("NFC", name)


def spellings(name: str) -> tuple[str, ...]:
    """The paths that a written name can mean, most likely first: as written, then with backslashes as separators.

    The name as written comes first because a backslash may be part of a file name on Linux and macOS.
    """
    return tuple(dict.fromkeys((name, name.replace("\\", "/"))))


def file_stem(name: str) -> str:
    """A photo's name as part of a file name: only allowed characters, and at most MAX_NAME bytes."""
    return portable(PurePosixPath(name).stem).encode()[:MAX_NAME].decode(errors="ignore")


def portable(part: str) -> str:
    """A part of a path with only the characters that every system allows in a file name."""
    return "".join(each if each.isprintable() and each not in '\\/:*?"<>|' else "_" for each in part)


def matches(path: PurePath, patterns: Iterable[str]) -> bool:
    """Whether the name or the whole path matches one of the patterns (`*.jpg`, `*/raw/*`)."""
    name, whole = composed(path.name), composed(path.as_posix())
    return any(fnmatch(name, glob) or fnmatch(whole, glob) for glob in map(composed, patterns))
