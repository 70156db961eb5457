"""Folders and programs to test the engine with."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sorce.engine.paths import temporary_folder

Program = Callable[[str, str], Path]


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder that the unprivileged user can read, which pytest's tmp_path is not."""
    with temporary_folder("sorce-test-", Path(tempfile.gettempdir())) as folder:
        yield folder


@pytest.fixture
def program(room: Path) -> Program:
    """Write a shell script of that name, in the folder `bin` of the room."""

    def write(name: str, script: str) -> Path:
        path = room / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return write
