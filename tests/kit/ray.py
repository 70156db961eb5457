"""The processes of Ray on this machine, and where they listen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

LISTENS = "0A"
LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
"""127.0.0.1, ::1 and ::ffff:127.0.0.1, as /proc writes them."""


def processes(*names: str) -> Iterator[int]:
    """Those of a Ray that an ingest has started, and whose command begins with one of the names, or its program's."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[0].startswith(names) or Path(words[0]).name in names:
                yield int(entry.name)


def sessions(pids: Iterable[int]) -> Iterator[int]:
    """All processes of the sessions that these belong to: each Ray is one."""
    wanted = set(map(os.getsid, pids))
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(entry.name)) in wanted:
                yield int(entry.name)


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
