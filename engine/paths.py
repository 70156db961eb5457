"""Where things lie, who may read them, and as whom OpenSearch runs."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorce.errors import EngineError


@dataclass(frozen=True, slots=True)
class Account:
    """The user that OpenSearch runs as: oneself, or `nobody` in place of root, as whom it refuses to run."""

    name: str
    uid: int
    gid: int
    in_place_of_root: bool

    @classmethod
    def current(cls) -> "Account":
        in_place_of_root = os.geteuid() == 0
        entry = pwd.getpwnam("nobody") if in_place_of_root else pwd.getpwuid(os.geteuid())
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, in_place_of_root)

    def popen(self) -> dict[str, Any]:
        """The arguments of `subprocess` that make a child run as this user."""
        if not self.in_place_of_root:
            return {}
        # From `/`, since the current folder may be closed to that user, and Java does not start in such a one.
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "cwd": "/"}

    def can(self, permission: str, path: Path) -> bool:
        """Whether this user may read ("r"), write ("w") or execute ("x") the path, its parents included."""
        # Asked of a process of that user: os.access answers for root, who may do anything.
        command = ["sh", "-c", f'test -{permission} "$1"', "sh", str(path)]
        return subprocess.run(command, check=False, **self.popen()).returncode == 0

    def own(self, folder: Path) -> None:
        """Make the folder, and give it and all in it to this user."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.in_place_of_root:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.uid, self.gid, follow_symlinks=False)
        if not self.can("w", folder):
            raise EngineError(
                f"user '{self.name}', as whom OpenSearch runs, cannot write to {folder}: "
                "name a folder that is open to it, with --data or the environment's SORCE_CACHE"
            )


def cache_folder() -> Path:
    """SORCE_CACHE; else `~/.cache/sorce`, or for root `/var/cache/sorce`, since root's home is closed to `nobody`."""
    named = os.environ.get("SORCE_CACHE")
    by_default = Path("/var/cache/sorce") if os.geteuid() == 0 else Path.home() / ".cache" / "sorce"
    folder = Path(named).expanduser().absolute() if named else by_default
    if any(character.isspace() for character in str(folder)):
        # bin/opensearch passes its options on unquoted.
        raise EngineError(f"OpenSearch cannot run from a path with spaces, {folder}: set SORCE_CACHE to another folder")
    make_readable(folder)
    if not Account.current().can("x", folder):
        raise EngineError(
            f"{folder} is closed to user '{Account.current().name}', as whom OpenSearch runs: "
            "set SORCE_CACHE to a folder that everyone can read"
        )
    return folder


def make_readable(folder: Path) -> None:
    """Make the folder and let everyone read it, whatever the umask; one that is there already stays as it is."""
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    except FileExistsError:
        pass
    except OSError as error:
        raise EngineError(
            f"cannot make {folder} ({error.strerror}): set SORCE_CACHE to a folder you can write to"
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time; the lock goes with the process, however that ends."""
    import fcntl  # here, so that the other commands can be imported on Windows

    try:
        file = path.open("w")
    except OSError as error:
        raise EngineError(
            f"cannot write to {path.parent} ({error.strerror}): set SORCE_CACHE to a folder of your own"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def temporary_folder(prefix: str, parent: Path) -> Iterator[Path]:
    """A folder that others can read (unlike tempfile's own), gone afterwards, whoever owns what is in it."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
