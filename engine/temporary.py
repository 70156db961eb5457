"""An OpenSearch that runs while a block of code runs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sorce.engine.lifecycle import start, stop
from sorce.engine.lines import NEWEST
from sorce.engine.node import Engine, Node
from sorce.engine.nodes import SMALL_HEAP, cluster, start_nodes, stop_nodes
from sorce.engine.paths import Account
from sorce.engine.progress import Say, silent


@contextmanager
def running(
    port: int = 0, data: Path | None = None, heap: str = "1g", *, quick_start: bool = False, say: Say = silent
) -> Iterator[str]:
    """The URL of an OpenSearch that runs while the block runs, on a free port and with its own data.

    It is stopped however the block or this process ends. Nothing remains, except in a given `data` folder.
    `quick_start` is explained at `Engine`, `say` at `start`.
    """
    with running_node(port, data, heap, quick_start=quick_start, say=say) as node:
        yield node.url


@contextmanager
def running_node(
    port: int = 0,
    data: Path | None = None,
    heap: str = "1g",
    line: str = NEWEST,
    *,
    quick_start: bool = False,
    say: Say = silent,
) -> Iterator[Node]:
    """Like `running`, but for any release line. Gives the node instead of its URL."""
    home = Path(tempfile.mkdtemp(prefix="sorce-engine-")).resolve()
    if Account.current().in_place_of_root:
        home.chmod(0o711)
    # When this process ends, even by SIGKILL, the watcher's input ends and the watcher cleans up.
    with subprocess.Popen(watcher(home), stdin=subprocess.PIPE, start_new_session=True):
        engine = Engine(home, data.resolve() if data else home / "data", port, heap, line, quick_start)
        try:
            yield start(engine, say)
        finally:
            stop(engine)


@contextmanager
def running_nodes(count: int = 3, heap: str = SMALL_HEAP, *, quick_start: bool = False) -> Iterator[list[Engine]]:
    """Like `running_node`, for a cluster of several nodes of the newest line. Gives its engines, all started."""
    home = Path(tempfile.mkdtemp(prefix="sorce-engine-")).resolve()
    if Account.current().in_place_of_root:
        home.chmod(0o711)
    with subprocess.Popen(watcher(home), stdin=subprocess.PIPE, start_new_session=True):
        nodes = cluster(Engine(home, home / "data", 0, heap, quick_start=quick_start), count)
        try:
            start_nodes(nodes)
            yield nodes
        finally:
            stop_nodes(nodes)


def watcher(home: Path) -> list[str]:
    """The command that waits for the end of its input, then ends the engine and removes its folder."""
    # -P: nothing is imported from the current folder, which may belong to another account.
    return [sys.executable, "-P", "-m", "sorce.engine.watcher", str(home)]
