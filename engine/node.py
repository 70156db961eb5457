"""An engine, which is a place for one OpenSearch node, and the node that runs there."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sorce.engine.files import make_folder, read_file, write_file
from sorce.engine.http import ask
from sorce.engine.lines import LINES, NEWEST
from sorce.engine.paths import SET_CACHE, cache_folder
from sorce.engine.security import Security
from sorce.errors import EngineError


@dataclass(frozen=True, slots=True)
class Peers:
    """The nodes of a cluster, by the ports that they speak with each other on, and a node's place among them."""

    ports: tuple[int, ...]
    place: int

    @property
    def settings(self) -> dict[str, Any]:
        """OpenSearch's settings for the node of this place."""
        names = [f"sorce-{place + 1}" for place in range(len(self.ports))]
        return {
            "node.name": names[self.place],
            "transport.port": self.ports[self.place],
            "discovery.type": "zen",
            "discovery.seed_hosts": [f"127.0.0.1:{port}" for port in self.ports],
            "cluster.initial_cluster_manager_nodes": names,
        }


@dataclass(frozen=True, slots=True)
class Engine:
    """A place for one node: `home` holds its configuration, logs and pid file, `data` its indices.

    Port 0 means any free port: OpenSearch chooses it, so two engines never get the same one. With `quick_start` Java
    uses only its fast compiler. Then a start takes half the CPU time, but searches in large indices are slower: right
    for tests, wrong for measurements. `peers` are the nodes of its cluster (`sorce.engine.nodes`); None for one alone.
    """

    home: Path
    data: Path
    port: int = 9200
    heap: str = "1g"
    line: str = NEWEST
    quick_start: bool = False
    peers: Peers | None = None

    def __post_init__(self) -> None:
        if self.line not in LINES:
            raise EngineError(f"there is no line '{self.line}' of OpenSearch here: use one of {', '.join(LINES)}")
        if not re.fullmatch(r"[1-9]\d*[kmgKMG]", self.heap):
            raise EngineError(f"'{self.heap}' is not a size of memory: write it like 512m or 2g")

    @classmethod
    def named(
        cls,
        name: str = "default",
        *,
        data: Path | None = None,
        port: int = 9200,
        heap: str = "1g",
        line: str = NEWEST,
        quick_start: bool = False,
    ) -> Engine:
        """The engine with this name in the cache folder. Its data is there too, unless another folder is given."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise EngineError(f"'{name}' cannot name an engine: use letters, digits, dots and dashes")
        engines = cache_folder() / "nodes"
        make_folder(engines, 0o755, SET_CACHE)
        home = engines / name
        return cls(home, data.resolve() if data else home / "data", port, heap, line, quick_start)

    @property
    def url(self) -> str:
        return f"{'https' if self.security else 'http'}://127.0.0.1:{self.port}"

    @property
    def security(self) -> Security | None:
        """The certificates and the password of a secured line."""
        return Security(self.home / "security") if LINES[self.line].secured else None

    @property
    def log(self) -> Path:
        """What OpenSearch prints."""
        return self.home / "logs" / "console.log"


@dataclass(frozen=True, slots=True)
class Node:
    """A running OpenSearch. Its URL ends with port 0 until OpenSearch has chosen one."""

    pid: int
    url: str
    data: str
    heap: str
    java: str
    line: str = NEWEST
    security: str | None = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def health(self) -> str:
        """`green`, `yellow` or `red`; `starting` while it does not answer."""
        return str((self.ask("/_cluster/health") or {}).get("status", "starting"))

    def ask(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The JSON answer to a request made with all rights. None if the node does not answer it yet."""
        context = None if self.security is None else Security(Path(self.security)).context()
        return ask(self.url, path, context, method, body)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that sorce's commands need to use this node."""
        secured = {} if self.security is None else Security(Path(self.security)).environment
        return {"OPENSEARCH_URL": self.url, **secured}

    def record(self, home: Path) -> None:
        """Record in the engine's folder what runs there: `node.json`, and then `pid`."""
        facts = {name: value for name, value in asdict(self).items() if name != "pid"}
        write_file(home / "node.json", json.dumps(facts).encode())
        write_file(home / "pid", f"{self.pid}\n".encode())

    @classmethod
    def recorded(cls, home: Path, pid: int) -> Node:
        """The node that was recorded."""
        return cls(pid=pid, **json.loads(read_file(home / "node.json")))
