"""The process of an engine: how to find it and how to end it.

`HOME/pid` holds its number. The number alone proves nothing: after a crash another program may have it. So before each
use two things are checked: the process runs as the engine's user, and its command line names this engine's folder.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from sorce.engine.environment import common_environment
from sorce.engine.files import read_file
from sorce.engine.paths import Account
from sorce.errors import EngineError

STOP_LIMIT = 60.0  # seconds; a stop takes less than 1 on two idle cores


class Process(NamedTuple):
    """A process as the system shows it: the user it runs as, and its command line."""

    uid: int
    words: tuple[str, ...]


def proof(home: Path) -> str:
    """An argument that only this engine's OpenSearch process has."""
    return f"-Epath.logs={home / 'logs'}"


def homes(home: Path) -> list[Path]:
    """The folders of all nodes of the engine in this folder (`sorce.engine.nodes`)."""
    return [home, *sorted(home.glob("node-*"))]


def engine_pid(home: Path) -> int | None:
    """The number of the engine's process. None if there is none, or if another program has the number.

    Raises EngineError if another user started the engine.
    """
    try:
        pid = int(read_file(home / "pid"))
    except (FileNotFoundError, ValueError):
        return None
    except PermissionError as error:
        raise EngineError(f"{home} is closed to you: run the command as the user who started the engine") from error
    process = look_up(pid)
    if process is None or proof(home) not in process.words or process.uid != Account.current().uid:
        return None
    return pid


def look_up(pid: int) -> Process | None:
    """The process with that number. None if there is none, or if it has ended but nobody has waited for it yet."""
    if not Path("/proc/self/stat").exists():
        return _ask_ps(pid)
    folder = Path("/proc") / str(pid)
    for _ in range(20):
        try:
            words = (folder / "cmdline").read_text(errors="replace").split("\0")
            status = dict(line.split(":", 1) for line in (folder / "status").read_text(errors="replace").splitlines())
        except OSError:
            return None
        # Its first thread may end before the others, which still have its files open.
        if status["State"].split()[0] in "ZX" and int(status["Threads"]) <= 1:
            return None
        if any(words):
            return Process(int(status["Uid"].split()[1]), tuple(words[:-1]))
        # During an exec a process has no command line for a moment.
        time.sleep(0.05)
    return None


def _ask_ps(pid: int) -> Process | None:
    """For systems without /proc, such as macOS. No engine path contains a space, so splitting at spaces is safe."""
    command = ["ps", "-ww", "-o", "uid=,stat=,command=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=common_environment())
    uid, state, *words = answer.stdout.split() or ["0", "Z"]
    return None if state.startswith("Z") else Process(int(uid), tuple(words))


def end(home: Path) -> bool:
    """End the engine's process and wait until it is gone; after a minute kill it. False if none was running."""
    if not _signal(home, signal.SIGTERM):
        return False
    if not _is_gone(home) and _signal(home, signal.SIGKILL):
        _is_gone(home)
    return True


def _signal(home: Path, number: signal.Signals) -> bool:
    """Send the signal to the engine's process and to no other. False if there is none."""
    pid = engine_pid(home)
    if pid is None:
        return False
    try:
        if sys.platform == "linux":
            opened = os.pidfd_open(pid)
            try:
                # While it is open, no other process gets this number. So the check below stays true.
                if engine_pid(home) != pid:
                    return False
                signal.pidfd_send_signal(opened, number)
            finally:
                os.close(opened)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _is_gone(home: Path) -> bool:
    """Wait for the end of the engine's process. False if it still runs after STOP_LIMIT."""
    deadline = time.monotonic() + STOP_LIMIT
    while engine_pid(home) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
