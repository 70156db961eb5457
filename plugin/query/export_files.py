"""`--export FORMAT:FILE`: writes an export, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

import click

from sorce.errors import SorceError
from sorce.mappings import Rejected
from sorce.plugin.query.export import FORMATS, Export, exported
from sorce.terminal import printable

MAX_NAMED = 3
"""Maximum number of photos that a message names."""


@dataclass(frozen=True, slots=True)
class FileExport:
    """A file to write, and its format."""

    format: str
    file: Path


def parse_exports(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> list[FileExport]:
    """Reads each `FORMAT:FILE`. Raises click.BadParameter."""
    found = []
    for text in texts:
        form, _, file = text.partition(":")
        if form not in FORMATS or not file:
            formats = ", ".join(FORMATS)
            raise click.BadParameter(
                f"'{text}' is not understood; write FORMAT:FILE, with one of {formats}.", context, option
            )
        found.append(FileExport(form, Path(file)))
    return found


def write_exports(exports: Sequence[FileExport], what: Export) -> list[str]:
    """Writes the files, and returns a sentence for each that lacks photos. Raises SorceError."""
    said = []
    for each in exports:
        missing = _write(each, what)
        click.echo(f"written: {printable(str(each.file))}", err=True)
        if missing:
            said.append(_sentence(each, missing))
    return said


def _write(export: FileExport, what: Export) -> tuple[Rejected, ...]:
    try:
        file = export.file.resolve()
        if file.exists() and not file.is_file():
            # Such as /dev/stdout.
            with file.open("wb") as stream:
                return _exported(export.format, what, stream)
        # Another run may write the same file now.
        part = file.with_name(f".{file.name}.{token_hex(4)}.part")
        try:
            with part.open("wb") as stream:
                missing = _exported(export.format, what, stream)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise SorceError(f"'{export.file}' cannot be written ({error.strerror or error}); name another.") from error
    return missing


def _exported(form: str, what: Export, stream: BinaryIO) -> tuple[Rejected, ...]:
    if form != "zip":
        return exported(form, what, stream)
    from sorce.pictures.limits import DecodeLimits
    from sorce.pictures.sandbox import DecoderPool
    from sorce.plugin.query.packing import photos_below

    with closing(DecoderPool(DecodeLimits())) as decoders:
        return exported(form, what, stream, photos_below(what.roots, decoders))


def _sentence(export: FileExport, missing: Sequence[Rejected]) -> str:
    shown = "; ".join(printable(f"'{each.path}' {each.reason}") for each in missing[:MAX_NAMED])
    more = f"; and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
    return f"{len(missing)} photos are not in {printable(str(export.file))}: {shown}{more}."
