"""Starts Ray on this machine, or joins a cluster of it, for the time of one ingest.

Whoever reaches a port of Ray can run code. So a Ray of our own listens on loopback only and asks for a token, and a
cluster is only joined with a token.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory, gettempdir
from threading import Event
from typing import Any

from sorce.errors import SorceError
from sorce.ingest.progress import ENDS
from sorce.ingest.ray_head import LOOPBACK, START, end_session

ERRORS = "errors.log"
ATTEMPTS = 3
"""Ray gives up its own start after 30 s, which is little on a busy machine."""

PATIENCE = 0.5
"""Seconds after which a waiting run sees whether it was asked to stop."""

ENDING = 30
"""Seconds for Ray's processes to end in good order; then they are killed."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_task_events_report_interval_ms": "0"}
"""Nothing is reported to Ray's makers, and no list of past tasks is kept, which would grow."""

ONLY_HERE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""With this and the address 127.0.0.1 all of Ray's listeners are on loopback; the address alone has no effect."""


@dataclass(frozen=True)
class Team:
    """How Ray is used: `address` is that of a cluster to join; without it Ray is started on this machine.

    `workers` are the processes that decode and encode (None: one per GPU, or else one per machine), `gpus` how many
    GPUs each of them gets. `writers` is how many requests all of them together send to OpenSearch at once.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float = 0
    writers: int = 2


class Stopped(Exception):
    """The run was asked to stop before it began."""


@contextmanager
def ray_running(team: Team, cpus: int, stop: Event) -> Iterator[Any]:
    """The module `ray`, connected. Nothing of a Ray of our own is left at the end. Raises Stopped, and SorceError.

    `cpus` is how many a Ray of our own offers, `stop` whether to start it.
    """
    local = team.address is None
    handlers = {each: signal.getsignal(each) for each in ENDS}
    with ExitStack() as stack:
        settings = {**QUIET, **token()} if local else {**QUIET, **token_of_cluster()}
        stack.enter_context(variables({**settings, **ONLY_HERE} if local else settings))
        ray = imported()
        # Ray prints what happens to its processes on standard output, which belongs to the result.
        stack.enter_context(redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        # Ray has the workers import from the current folder first, where files of others may lie.
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sorce-ray-", dir=short_folder())))
        address = stack.enter_context(started(folder, cpus, stop)) if local else team.address
        with chdir(folder):
            stack.callback(ray.shutdown)
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
            except SystemExit as error:
                # Ray turns a SIGTERM that comes now into this.
                stop.set()
                raise Stopped from error
            except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
                raise SorceError(f"Ray cannot be joined at {address} ({_first_line(error)}); {_REMEDY}") from error
            finally:
                # Ray sets its own for SIGTERM, which would end the ingest at once.
                for each, handler in handlers.items():
                    signal.signal(each, handler)
        if local and ray.util.get_node_ip_address() != LOOPBACK:
            raise SorceError("Ray listens on more than this machine's loopback; this version of Ray cannot be used.")
        yield ray


_REMEDY = "run this on a machine of that cluster, with the token and the versions of Ray and Python that it has."


def imported() -> Any:
    """The module. Raises SorceError without the package."""
    try:
        import ray
    except ImportError as error:
        raise SorceError("--ray needs a package: pip install 'sorce[ray]'.") from error
    return ray


@cache
def token() -> Mapping[str, str]:
    """Settings with a token of this process's own. Ray reads it once per process."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def token_of_cluster() -> Mapping[str, str]:
    """Settings for a cluster that asks for a token. Raises SorceError if none is given here."""
    named = [os.environ.get("RAY_AUTH_TOKEN"), os.environ.get("RAY_AUTH_TOKEN_PATH")]
    if not any(named) and not Path("~/.ray/auth_token").expanduser().is_file():
        raise SorceError(
            "a Ray cluster is only joined with a token, since whoever reaches it runs code there; start all its nodes "
            "with RAY_AUTH_MODE=token, and set RAY_AUTH_TOKEN_PATH here."
        )
    return {"RAY_AUTH_MODE": "token"}


@contextmanager
def started(folder: Path, cpus: int, stop: Event) -> Iterator[str]:
    """The address of a Ray on this machine. Raises Stopped, and SorceError if it does not start."""
    for _ in range(ATTEMPTS):
        process = head_process(folder, cpus)
        try:
            assert process.stdout is not None
            while not select([process.stdout], [], [], PATIENCE)[0]:
                if stop.is_set():
                    raise Stopped
            said = process.stdout.readline()
            if said:
                yield json.loads(said)
                return
        finally:
            end(process)
    why = last_words(folder)
    raise SorceError(
        f"Ray did not start ({why}); see whether this machine is too busy or short of memory, and try again."
    )


def head_process(folder: Path, cpus: int) -> subprocess.Popen[str]:
    with (folder / ERRORS).open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-c", START, str(folder), str(cpus)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )


def last_words(folder: Path) -> str:
    """The last line of what Ray's process wrote on its standard error."""
    said = (folder / ERRORS).read_text(errors="replace").strip()
    return said.splitlines()[-1].strip() if said else "it said nothing"


def end(process: subprocess.Popen[str]) -> None:
    """Ends the process and all of Ray below it."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDING)
    process.kill()
    process.wait()
    process.stdout.close()
    end_session(process.pid)


@contextmanager
def variables(given: Mapping[str, str]) -> Iterator[None]:
    """Sets variables of the environment meanwhile. Ray's processes get them from this one."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def short_folder() -> str:
    """Where Ray's sockets fit: their paths may have about a hundred characters."""
    return "/tmp" if Path("/tmp").is_dir() else gettempdir()


def placed(nodes: Sequence[Mapping[str, float]], team: Team) -> tuple[int, int]:
    """How many workers there are, and how many CPUs each gets: as many as fit. Raises SorceError if there is no room.

    `nodes` are the resources of each machine, as Ray names them.
    """

    def room(cpus: int) -> int:
        return sum(
            int(min(node.get("CPU", 0) // cpus, node.get("GPU", 0) / team.gpus if team.gpus else cpus_most))
            for node in nodes
        )

    cpus_most = int(max((node.get("CPU", 0) for node in nodes), default=0))
    workers = team.workers or (room(1) if team.gpus else sum(node.get("CPU", 0) >= 1 for node in nodes))
    fitting = [cpus for cpus in range(1, cpus_most + 1) if workers and room(cpus) >= workers]
    if not fitting:
        what = f"{team.gpus:g} GPUs and a CPU" if team.gpus else "a CPU"
        have = ", ".join(f"{sum(node.get(kind, 0) for node in nodes):g} {kind}s" for kind in ("CPU", "GPU"))
        raise SorceError(f"Ray has no room for {workers or 1} workers with {what} each (it has {have}); name fewer.")
    return workers, fitting[-1]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
