"""Folders and files that no other account can tamper with.

Root starts OpenSearch as another user, and several accounts may share `/tmp`. So nothing here follows a link that
another account can create. A folder is used only if no other account can change its contents.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sorce.errors import EngineError


def make_folder(folder: Path, mode: int, remedy: str) -> None:
    """Create the folder with this mode, whatever the umask. An existing folder keeps its mode and is checked.

    Raises EngineError, which ends with the remedy, if it cannot be created or another account can change it.
    """
    try:
        folder.mkdir(parents=True)
        folder.chmod(mode)
    except FileExistsError:
        pass
    except OSError as error:
        raise EngineError(f"cannot make {folder} ({error.strerror}): {remedy}") from error
    if not folder.is_dir():
        raise EngineError(f"{folder} is not a folder: {remedy}")
    check_owner(folder, remedy)


def check_owner(folder: Path, remedy: str) -> None:
    """Raise EngineError, which ends with the remedy, if another account can change the contents of this folder."""
    facts = folder.stat()
    if facts.st_uid not in (0, os.geteuid()):
        raise EngineError(f"{folder} belongs to user '{user_name(facts.st_uid)}', who could change it: {remedy}")
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EngineError(f"other users can write to {folder}: run `chmod go-w {folder}`, or {remedy}")
    check_parents(folder, remedy)


def check_parents(path: Path, remedy: str) -> None:
    """Raise EngineError if another account can replace this path. The path need not exist."""
    # Also check the parents of the path as written: their owner could put another link there.
    for parent in (*path.absolute().parents, *path.resolve().parents):
        # `/` is skipped: its owner owns the machine, and in some containers its owner has no name.
        if parent == Path("/") or not parent.exists():
            continue
        facts = parent.stat()
        if facts.st_uid not in (0, os.geteuid()):
            raise EngineError(
                f"{parent} belongs to user '{user_name(facts.st_uid)}', who could replace {path.name} in it: {remedy}"
            )
        # In a sticky folder such as /tmp only the owner of an entry can replace it.
        if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
            raise EngineError(f"all users can write to {parent}: run `chmod o-w {parent}`, or {remedy}")


def write_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace this file by a new one, in one step. If the name is a link, the link is replaced and never followed."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    # O_EXCL creates the file itself: it follows no link, and others can never read the content.
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    new.replace(path)


def read_file(path: Path) -> str:
    """The text of a regular file. Raises OSError for a link and for anything else that is not a regular file."""
    # O_NONBLOCK: opening a pipe would otherwise wait for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is not a plain file")
        return file.read().decode(errors="replace")


@contextmanager
def locked(path: Path, wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold this lock while the block runs. `wait` is called if another process holds it.

    The system releases the lock when the process ends, however it ends.
    """
    import fcntl  # Windows has no fcntl, and the other commands must be importable there.

    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w")
    except OSError as error:
        raise EngineError(
            f"cannot write to {path.parent} ({error.strerror}): set SORCE_CACHE to a folder that is yours"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def user_name(uid: int) -> str:
    """The name of an account, or its number if it has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
