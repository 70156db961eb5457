"""The folders of the engine, and the user that OpenSearch runs as."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorce.engine.environment import common_environment
from sorce.engine.files import check_parents, make_folder, user_name
from sorce.errors import EngineError

SET_CACHE = "set SORCE_CACHE to a folder that is yours"


@dataclass(frozen=True, slots=True)
class Account:
    """The user that OpenSearch runs as: the caller, or `nobody` for root, since OpenSearch does not run as root."""

    name: str
    uid: int
    gid: int
    in_place_of_root: bool

    @classmethod
    def current(cls) -> Account:
        if os.geteuid() != 0:
            return cls(user_name(os.geteuid()), os.geteuid(), os.getegid(), in_place_of_root=False)
        try:
            entry = pwd.getpwnam("nobody")
        except KeyError as error:
            raise EngineError(
                "OpenSearch does not run as root, and there is no user 'nobody' to run it as: "
                "add that user, or call sorce as another user"
            ) from error
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, in_place_of_root=True)

    def popen(self) -> dict[str, Any]:
        """Arguments for `subprocess`: the child runs as this user and sees only the common environment."""
        shared = {"env": common_environment()}
        if not self.in_place_of_root:
            return shared
        # Start in `/`: this user may be unable to enter the current folder, and Java does not start in such a folder.
        return shared | {"user": self.uid, "group": self.gid, "extra_groups": [], "cwd": "/"}

    def can(self, permission: str, path: Path) -> bool:
        """Whether this user may read ("r"), write ("w") or enter ("x") the path and enter its parents."""
        # Asks a process of that user, because os.access answers for root, who may do everything.
        command = ["sh", "-c", f'test -{permission} "$1"', "sh", str(path)]
        return subprocess.run(command, check=False, **self.popen()).returncode == 0

    def own_folder(self, folder: Path) -> None:
        """Create the folder and close it to all other users. Only the caller or this user may own an existing folder.

        Its contents are not touched: this user could replace them by a link to somebody else's file.
        """
        remedy = "name another folder with --data"
        folder = folder.resolve()
        check_parents(folder, remedy)
        folder.mkdir(parents=True, exist_ok=True)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            owner = os.fstat(opened).st_uid
            if owner not in (os.geteuid(), self.uid):
                raise EngineError(f"{folder} belongs to user '{user_name(owner)}': {remedy}")
            os.fchown(opened, self.uid, self.gid)
            os.fchmod(opened, 0o700)
        finally:
            os.close(opened)
        if not self.can("w", folder):
            raise EngineError(
                f"OpenSearch runs as user '{self.name}', who cannot write to {folder}: "
                f"{remedy}, or {SET_CACHE}, where '{self.name}' may enter each parent folder"
            )

    def give(self, folder: Path) -> None:
        """Give this user everything in a folder that only the caller can open, and last the folder itself."""
        for parent, _, names in os.walk(folder, topdown=False):
            for path in (*(Path(parent) / name for name in names), Path(parent)):
                path.chmod(0o700 if path.is_dir() else 0o600)
                os.chown(path, self.uid, self.gid, follow_symlinks=False)


def cache_folder() -> Path:
    """SORCE_CACHE, or else `~/.cache/sorce`. For root `/var/cache/sorce`, since `nobody` cannot enter root's home.

    Raises EngineError if another account can change it, or if OpenSearch cannot run from it.
    """
    named = os.environ.get("SORCE_CACHE")
    by_default = Path("/var/cache/sorce") if os.geteuid() == 0 else Path.home() / ".cache" / "sorce"
    folder = Path(named).expanduser().absolute() if named else by_default
    if any(character.isspace() for character in str(folder)):
        # OpenSearch's scripts use its paths without quotes.
        raise EngineError(f"OpenSearch cannot run from a path with spaces, {folder}: set SORCE_CACHE to another folder")
    make_folder(folder, 0o755, SET_CACHE)
    account = Account.current()
    if not account.can("x", folder):
        raise EngineError(
            f"OpenSearch runs as user '{account.name}', who cannot enter {folder}: "
            "set SORCE_CACHE to a folder that everyone can read"
        )
    return folder.resolve()


@contextmanager
def temporary_folder(prefix: str, parent: Path) -> Iterator[Path]:
    """A folder that everyone can read, unlike those of `tempfile`. It is removed at the end with its contents."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
