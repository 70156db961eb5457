"""Pictures on disk, up to a limit of bytes: what was used longest ago is deleted first."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock

from sorce.errors import PluginError

log = logging.getLogger("sorce.service")


class DiskCache:
    """Bytes by key, in files below a folder; a key has at least three letters or digits. For use from any thread.

    Several services may share a folder; each then counts what it has seen.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        _make_usable(folder)
        self._folder, self._limit = folder, limit
        self._lock = Lock()
        self._sizes = OrderedDict(_by_last_use(folder))
        self._total = sum(self._sizes.values())

    @property
    def total(self) -> int:
        """The bytes of all files."""
        return self._total

    def get(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            content = path.read_bytes()
            # So that the order is known after a restart, too.
            os.utime(path)
        except FileNotFoundError:
            self._forget(key)
            return None
        self._remember(key, len(content))
        return content

    def put(self, key: str, content: bytes) -> None:
        """A full disk is logged, and keeps nothing."""
        path, written = self._path(key), None
        try:
            path.parent.mkdir(0o700, exist_ok=True)
            # In the folder of the name that it will have: renaming there replaces the file at once.
            with NamedTemporaryFile(dir=path.parent, prefix=f"{key}-", delete=False) as file:
                written = Path(file.name)
                file.write(content)
            written.replace(path)
        except OSError as error:
            log.warning("a picture was not kept in '%s': %s", self._folder, error.strerror)
            if written is not None:
                written.unlink(missing_ok=True)
            return
        self._remember(key, len(content))
        while (oldest := self._oldest_beyond()) is not None:
            self._path(oldest).unlink(missing_ok=True)
            self._forget(oldest)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key

    def _remember(self, key: str, size: int) -> None:
        with self._lock:
            self._total += size - self._sizes.pop(key, 0)
            self._sizes[key] = size

    def _forget(self, key: str) -> None:
        with self._lock:
            self._total -= self._sizes.pop(key, 0)

    def _oldest_beyond(self) -> str | None:
        """The key that was used longest ago, if there is more than the limit."""
        with self._lock:
            return next(iter(self._sizes)) if self._total > self._limit else None


def _make_usable(folder: Path) -> None:
    """Makes the folder. Raises PluginError if nothing can be kept there.

    The same for a folder of another account, which could put its own pictures in place of ours.
    """
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder):
            owner = folder.stat().st_uid
    except OSError as error:
        raise PluginError(
            f"the page's pictures cannot be kept in '{folder}': {error.strerror}; name another folder with --cache."
        ) from error
    if owner not in (0, os.geteuid()):
        raise PluginError(f"'{folder}' belongs to another account; name a folder of your own with --cache.")


def _by_last_use(folder: Path) -> list[tuple[str, int]]:
    """Names and bytes of the files that an earlier process left, the one used longest ago first."""
    found = []
    for path in folder.glob("??/*"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append((status.st_mtime_ns, path.name, status.st_size))
    return [(name, size) for _, name, size in sorted(found)]
