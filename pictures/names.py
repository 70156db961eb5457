"""File names as label files and people write them: in any Unicode form, with either separator."""

from __future__ import annotations

import unicodedata


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): macOS writes ü as two characters, most other systems as one."""
    return unicodedata.normalize("NFC", name)


def spellings(name: str) -> tuple[str, ...]:
    """The paths that a written name can mean, most likely first: as written, then with backslashes as separators.

    The name as written comes first because a backslash may be part of a file name on Linux and macOS.
    """
    return tuple(dict.fromkeys((name, name.replace("\\", "/"))))
