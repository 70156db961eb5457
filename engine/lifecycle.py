"""Start, stop and look up the OpenSearch node of an engine."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from sorce.engine.files import locked, make_folder, read_file
from sorce.engine.launch import chosen_port, launch
from sorce.engine.node import Engine, Node
from sorce.engine.paths import SET_CACHE, Account
from sorce.engine.ports import wait_until_closed
from sorce.engine.process import end, engine_pid
from sorce.engine.progress import Say, logged, repeated, silent
from sorce.errors import EngineError

START_LIMIT = 600.0  # seconds; a start takes 14 on two idle cores, 200 on two cores shared by eight others


def start(engine: Engine, say: Say = silent) -> Node:
    """Start the engine's node and wait until it is healthy. A node that already runs is returned unchanged.

    `say` gets a sentence for each step; the same goes to `start.log` in the engine's folder. Raises EngineError (a busy
    port, a node that dies or is not healthy in time) or MissingTool (Java, Maven).
    """
    # OpenSearch's user can enter this folder but not list it.
    remedy = f"{SET_CACHE} (for a temporary engine: TMPDIR)"
    make_folder(engine.home, 0o711 if Account.current().in_place_of_root else 0o700, remedy)
    say = logged(say, engine.home / "start.log")
    with locked(engine.home / "lock", lambda: say("Another start of this engine is running: waiting for it ...")):
        node = status(engine)
        fresh = node is None
        if node is None:
            node = launch(engine, say)
    if engine.port and node.url != engine.url:
        raise EngineError(f"this engine already runs at {node.url}: use that, stop it first, or give another --name")
    if not fresh:
        say(f"Already running at {node.url} (process {node.pid}).")
    try:
        return _wait_until_healthy(engine, node, say)
    except BaseException:
        # Interrupted or failed: stop the node if this call started it.
        if fresh:
            stop(engine)
        raise


def stop(engine: Engine) -> bool:
    """Stop the engine's node and wait for its end. False if none was running."""
    node = status(engine)
    if node is None or not end(engine.home):
        return False
    if node.port:
        wait_until_closed(node.port)
    with suppress(PermissionError):  # A stale pid file does no harm.
        (engine.home / "pid").unlink(missing_ok=True)
    return True


def status(engine: Engine) -> Node | None:
    """The engine's node, if one runs. A pid file left by a killed node does not count."""
    pid = engine_pid(engine.home)
    return None if pid is None else Node.recorded(engine.home, pid)


def _wait_until_healthy(engine: Engine, node: Node, say: Say) -> Node:
    deadline = time.monotonic() + START_LIMIT
    with repeated(say, f"Waiting until OpenSearch is healthy; it writes to {engine.log}"):
        while time.monotonic() < deadline:
            if engine_pid(engine.home) != node.pid:
                cause = _cause_of_death(engine)
                raise EngineError(f"OpenSearch stopped while starting: {cause} (the whole log: {engine.log})")
            node = _with_port(engine, node)
            if node.port and node.health() in ("green", "yellow") and _plugins_are_ready(engine, node):
                return node
            time.sleep(0.2)
    raise EngineError(f"OpenSearch is {node.health()} after {START_LIMIT:.0f} s: its log says why, {engine.log}")


def _with_port(engine: Engine, node: Node) -> Node:
    """The node with the port that OpenSearch has chosen, once it has chosen one."""
    port = None if node.port else chosen_port(engine.home)
    if port is None:
        return node
    node = replace(node, url=f"{node.url.rpartition(':')[0]}:{port}")
    node.record(engine.home)
    return node


def _plugins_are_ready(engine: Engine, node: Node) -> bool:
    """ML Commons is ready later than the cluster. So is the security plugin, whose administrator is then created."""
    if node.ask("/_plugins/_ml/stats") is None:
        return False
    return engine.security is None or node.ask(*engine.security.administrator()) is not None


def _cause_of_death(engine: Engine) -> str:
    """The line of the log that names the cause, or else the last line."""
    try:
        log = read_file(engine.log)
    except OSError:
        log = ""
    lines = [line.strip() for line in log.splitlines() if line.strip()] or ["it printed nothing"]
    for sign in ("Likely root cause:", "Caused by:", "ERROR", "Error"):
        for line in reversed(lines):
            if sign in line:
                return line
    return lines[-1]
