"""A cluster of several nodes on this machine, for tests: one engine, with the other nodes' folders inside its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from sorce.engine.files import make_folder, read_file, write_file
from sorce.engine.lifecycle import start, status, stop
from sorce.engine.node import Engine, Node, Peers
from sorce.engine.paths import SET_CACHE, Account
from sorce.engine.progress import Say, silent
from sorce.errors import EngineError
from sorce.ports import free_ports

MAX_NODES = 9
SMALL_HEAP = "512m"
"""Memory for Java of each node."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of all nodes of a cluster: for requests, and for the nodes among themselves."""

    http: Sequence[int]
    transport: Sequence[int]

    @classmethod
    def free(cls, first: int, nodes: int) -> Ports:
        """`first` is the port for requests to the first node; 0 takes a free one, as all others do."""
        ports = free_ports(2 * nodes)
        return cls([first or ports[0], *ports[1:nodes]], ports[nodes:])


def nodes_of(engine: Engine) -> list[Engine]:
    """The nodes of an engine that was started before; only the engine itself if it has no others."""
    try:
        ports = Ports(**json.loads(read_file(engine.home / "cluster.json")))
    except (FileNotFoundError, PermissionError):
        # Of an engine that is closed to this user, `status` says so.
        return [engine]
    return [_node(engine, place, ports) for place in range(len(ports.http))]


def cluster(engine: Engine, nodes: int) -> list[Engine]:
    """The nodes of this engine, to be started together. Raises EngineError if it was one of another size."""
    there = nodes_of(engine)
    is_new = not (engine.home / "data").exists()
    if not is_new and len(there) != nodes:
        raise EngineError(f"this engine holds data of {len(there)} nodes: give another --name for {nodes}")
    if any(status(each) for each in there):
        return there
    ports = Ports.free(engine.port, nodes)
    make_folder(engine.home, 0o711 if Account.current().in_place_of_root else 0o700, SET_CACHE)
    facts = {"http": list(ports.http), "transport": list(ports.transport)}
    write_file(engine.home / "cluster.json", json.dumps(facts).encode())
    return [_node(engine, place, ports) for place in range(nodes)]


def refuse_cluster(engine: Engine) -> None:
    """Raises EngineError if the engine has several nodes: the first one must not start alone."""
    if (nodes := len(nodes_of(engine))) > 1:
        raise EngineError(f"this engine has {nodes} nodes: add --nodes {nodes}, or give another --name")


def _node(engine: Engine, place: int, ports: Ports) -> Engine:
    home = engine.home / f"node-{place + 1}" if place else engine.home
    return replace(
        engine, home=home, data=home / "data", port=ports.http[place], peers=Peers(tuple(ports.transport), place)
    )


def start_nodes(nodes: Sequence[Engine], say: Say = silent) -> list[Node]:
    """Starts all at once: none is healthy before most of them are there. Raises EngineError, and stops all."""
    try:
        with ThreadPoolExecutor(len(nodes)) as pool:
            return list(pool.map(lambda node: start(node, say), nodes))
    except BaseException:
        stop_nodes(nodes)
        raise


def stop_nodes(nodes: Sequence[Engine]) -> bool:
    """Stops all at once. False if none was running."""
    with ThreadPoolExecutor(len(nodes)) as pool:
        return any(list(pool.map(stop, nodes)))
