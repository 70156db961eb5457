"""Adds files to a ZIP so that the same content gives the same bytes."""

from __future__ import annotations

from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

_START = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can hold."""


def add(archive: ZipFile, name: str, content: bytes | str, *, pack: bool = True) -> None:
    """Without `pack` the content is only stored: pictures are packed already."""
    entry = ZipInfo(name, _START)
    entry.compress_type = ZIP_DEFLATED if pack else ZIP_STORED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
