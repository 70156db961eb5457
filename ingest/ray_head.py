"""Ray's own processes on this machine, all below one process that ends when the ingest does.

`sorce.ingest.ray_session` starts it as a program: `main` prints Ray's address, and waits for its input to be closed.
This also happens if the ingest is killed. It is a session of its own, so that Ctrl-C at the terminal only reaches the
ingest.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from sorce.ports import free_ports

START = """import sys
sys.path = [folder for folder in sys.path if folder]
from sorce.ingest.ray_head import main
main()"""
"""Not `-m`, which imports from the current folder first."""

LOOPBACK = "127.0.0.1"

LAST_SECONDS = 10
"""For processes that are killed."""

STORE = 1 << 30
"""Bytes for documents on their way from workers to the writer. More than that wait on the disk."""


def main() -> None:
    """Arguments: a folder for Ray's files, and the number of CPUs to offer."""
    folder, cpus = sys.argv[1:]
    # Ray also writes its address, below this folder. In the usual one that fails if no Ray ran on this machine before,
    # and misleads programs that look for another Ray.
    os.environ["RAY_TMPDIR"] = folder
    Path(folder, "ray").mkdir(exist_ok=True)
    [agent] = free_ports(1)
    announce_early(agent)
    # Unlike `ray.init`, this leaves out two processes of which an ingest has no use.
    given = {"no_monitor": True, "include_log_monitor": False, "include_dashboard": False, "num_gpus": None}
    head: dict[str, Any] = {
        "node_ip_address": LOOPBACK,
        "temp_dir": folder,
        "num_cpus": int(cpus),
        "object_store_memory": STORE,
        "runtime_env_agent_port": agent,
    }
    cluster_utils: Any = import_module("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**head, **given})
    try:
        print(json.dumps(cluster.address), flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()
        end_session()


def announce_early(agent: int) -> None:
    """Writes down the ports of Ray's two agents before these have started.

    Ray ends if they have not said their ports within 15 s, which they do not on a busy machine (ray 65983). One has no
    port without Ray's dashboard, and says so by -1; the other is told its port.
    """
    raylet: Any = import_module("ray._raylet")
    constants: Any = import_module("ray._private.ray_constants")
    services: Any = import_module("ray._private.services")
    start = services.start_ray_process
    none = (raylet.METRICS_AGENT_PORT_NAME, raylet.METRICS_EXPORT_PORT_NAME, raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME)
    ports = {**dict.fromkeys(none, -1), raylet.RUNTIME_ENV_AGENT_PORT_NAME: agent}

    def started(command: list[str], kind: str, *given: Any, **more: Any) -> Any:
        if kind == constants.PROCESS_TYPE_RAYLET:
            options = dict(word.removeprefix("--").split("=", 1) for word in command if "=" in word)
            for name, port in ports.items():
                raylet.persist_port(options["session_dir"], options["node_id"], name, port)
        return start(command, kind, *given, **more)

    services.start_ray_process = started


def end_session(session: int = 0) -> None:
    """Kills what is left in a session (0: this process's), but for this process, and waits until it has ended.

    What still runs could write into a folder that is removed next. Only Linux lists its processes.
    """
    end = time.monotonic() + LAST_SECONDS
    while (left := running_in(session or os.getpid()) - {os.getpid()}) and time.monotonic() < end:
        for each in left:
            with suppress(OSError):
                os.kill(each, signal.SIGKILL)
        time.sleep(0.01)


def running_in(session: int) -> set[int]:
    """The processes of a session that have not ended."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if os.getsid(int(entry.name)) == session and state not in "ZX":
                found.add(int(entry.name))
    return found
