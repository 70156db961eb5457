"""The processes of Ray on this machine, and where they listen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

LISTENS = "0A"
LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
"""127.0.0.1, ::1 and ::ffff:127.0.0.1, as /proc writes them."""


def session_of(driver: int) -> int:
    """The session of the Ray that an ingest has started. Another test's Ray, which may run beside it, has another."""
    running = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    [head] = (each for each in running if parent(each) == driver and "ray_head" in command(each))
    return head


def parent(process: int) -> int | None:
    """None if the process has ended."""
    with suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def command(process: int) -> str:
    """Its words, with a NUL character after each; empty if the process has ended."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
    return ""


def public_listeners(pids: Iterable[int]) -> list[str]:
    """The addresses that are not on loopback, each with its process."""
    owners = dict(sockets(pids))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            inode, address = line.split()[9], local.partition(":")[0]
            if state == LISTENS and inode in owners and address not in LOOPBACK:
                found.append(f"{local} of process {owners[inode]}")
    return found


def sockets(pids: Iterable[int]) -> Iterator[tuple[str, int]]:
    """The sockets of processes by their inodes."""
    for pid in pids:
        with suppress(OSError):
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    target = str(file.readlink())
                    if target.startswith("socket:["):
                        yield target[8:-1], pid
