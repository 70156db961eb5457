"""Start, stop and look at a single OpenSearch node on this machine."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sorce.engine.config import write_config
from sorce.engine.distribution import distribution
from sorce.engine.http import ask
from sorce.engine.java import Java, find_java
from sorce.engine.lines import LINES, NEWEST
from sorce.engine.paths import Account, cache_folder, locked, make_readable
from sorce.engine.security import SETTINGS, Security
from sorce.errors import EngineError

START_LIMIT = 600.0  # seconds; 14 on two idle cores, 200 on two that eight others share
STOP_LIMIT = 60.0  # seconds; under 1 on two idle cores
LEAST_FREE = 1 << 30  # bytes; below, OpenSearch refuses to make an index


def _silently(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Engine:
    """A place for one node: `home` holds its configuration, logs and pid file, `data` what is indexed."""

    home: Path
    data: Path
    port: int = 9200
    heap: str = "1g"
    line: str = NEWEST

    def __post_init__(self) -> None:
        if self.line not in LINES:
            raise EngineError(f"there is no line '{self.line}' of OpenSearch here: take one of {', '.join(LINES)}")
        if not re.fullmatch(r"[1-9]\d*[kmgKMG]", self.heap):
            raise EngineError(f"'{self.heap}' is no size of a heap: write it like 512m or 2g")

    @classmethod
    def named(
        cls,
        name: str = "default",
        *,
        data: Path | None = None,
        port: int = 9200,
        heap: str = "1g",
        line: str = NEWEST,
    ) -> "Engine":
        """The engine of that name in the cache folder; its data lies there too, if no other folder is given."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise EngineError(f"'{name}' cannot name an engine: use letters, digits, dots and dashes")
        home = cache_folder() / "nodes" / name
        make_readable(home.parent)
        return cls(home, data.absolute() if data else home / "data", port, heap, line)

    @property
    def url(self) -> str:
        return f"{'https' if self.security else 'http'}://127.0.0.1:{self.port}"

    @property
    def security(self) -> Security | None:
        """What its owner needs, on a secured line."""
        return Security(self.home / "security") if LINES[self.line].secured else None

    @property
    def log(self) -> Path:
        return self.home / "logs" / "console.log"


@dataclass(frozen=True, slots=True)
class Node:
    """A running OpenSearch."""

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
        """The answer to the one who may do all; None if there is none yet."""
        context = None if self.security is None else Security(Path(self.security)).context()
        return ask(self.url, path, context, method, body)

    @property
    def environment(self) -> dict[str, str]:
        """What tells sorce's commands where the node is, and who asks."""
        secured = {} if self.security is None else Security(Path(self.security)).environment
        return {"OPENSEARCH_URL": self.url, **secured}


def start(engine: Engine, say: Callable[[str], None] = _silently) -> Node:
    """Start the engine's node and wait until it is healthy; the one that already runs is as good.

    Raises EngineError (a busy port, a node that dies or is not healthy in time) or MissingTool (Java, Maven).
    """
    make_readable(engine.home)
    with locked(engine.home / "lock"):
        node = status(engine)
        fresh = node is None
        if node is None:
            node = _launch(engine, say)
    if node.url != engine.url:
        raise EngineError(f"this engine already runs at {node.url}: use that, stop it first, or give another --name")
    if not fresh:
        say(f"Already running at {node.url} (process {node.pid}).")
    try:
        _wait_until_healthy(engine, node)
    except BaseException:
        # Interrupted or failed: a node that this call has started does not stay behind.
        if fresh:
            stop(engine)
        raise
    return node


def stop(engine: Engine) -> bool:
    """Stop the engine's node and wait for its end; False if none was running."""
    node = status(engine)
    if node is None:
        return False
    pid = node.pid
    try:
        os.kill(pid, signal.SIGTERM)
        if not _gone_within(engine, STOP_LIMIT):
            os.kill(pid, signal.SIGKILL)
            _gone_within(engine, STOP_LIMIT)
    except ProcessLookupError:
        pass  # it ended between the look and the signal
    except PermissionError as error:
        raise EngineError(f"the engine in {engine.home} was started by another user: stop it as that user") from error
    _await_release(node.port)
    with suppress(PermissionError):  # what is left then is a stale file, which does no harm
        (engine.home / "pid").unlink(missing_ok=True)
    return True


def status(engine: Engine) -> Node | None:
    """The engine's node, if one runs; a pid file that a killed node has left is not taken for one."""
    pid = _pid(engine)
    if pid is None:
        return None
    return Node(pid=pid, **json.loads((engine.home / "node.json").read_text()))


@contextmanager
def running(port: int = 0, data: Path | None = None, heap: str = "1g") -> Iterator[str]:
    """The URL of an OpenSearch that lives as long as the block, on a free port and with data of its own.

    It is stopped however the block or this process ends; nothing stays behind, except in a `data` that was given.
    """
    with running_node(port, data, heap) as node:
        yield node.url


@contextmanager
def running_node(port: int = 0, data: Path | None = None, heap: str = "1g", line: str = NEWEST) -> Iterator[Node]:
    """As `running`, of any line, and the node with all that is to know of it."""
    home = Path(tempfile.mkdtemp(prefix="sorce-engine-"))
    home.chmod(0o755)
    # When this process is gone, even by SIGKILL, the watcher's input ends, and it cleans up.
    with subprocess.Popen(["sh", "-c", _WATCHER, "sh", str(home)], stdin=subprocess.PIPE, start_new_session=True):
        engine = Engine(home, data.absolute() if data else home / "data", port or _free_port(), heap, line)
        try:
            yield start(engine)
        finally:
            stop(engine)


_WATCHER = """
cat >/dev/null
if pid=$(cat "$1/pid" 2>/dev/null); then
    kill "$pid"
    for _ in $(seq 300); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
    kill -9 "$pid" 2>/dev/null
fi
rm -rf "$1"
"""


def _launch(engine: Engine, say: Callable[[str], None]) -> Node:
    if (engine.home / "pid").exists():
        _await_release(engine.port)
    if _is_busy(engine.port):
        raise EngineError(f"port {engine.port} is in use by another program: give another --port, or stop that program")
    _refuse_other_line(engine)
    account, cache, line = Account.current(), cache_folder(), LINES[engine.line]
    java = find_java(line, account, cache)
    home = distribution(line, cache, java, say)
    try:
        _prepare(engine, home, java, account)
    except OSError as error:
        raise EngineError(
            f"cannot write to {error.filename} ({error.strerror}): name another folder with --data or SORCE_CACHE"
        ) from error
    say(f"Starting {line} at {engine.url} with {java}, as user '{account.name}' ...")
    pid = _spawn(engine, home, java, account)
    security = None if engine.security is None else str(engine.security.folder)
    node = Node(pid, engine.url, str(engine.data), engine.heap, str(java), engine.line, security)
    facts = {name: value for name, value in asdict(node).items() if name != "pid"}
    (engine.home / "node.json").write_text(json.dumps(facts))
    (engine.home / "pid").write_text(f"{pid}\n")
    return node


def _refuse_other_line(engine: Engine) -> None:
    """OpenSearch does not read the data of a newer one, and this one's users are in the data."""
    record = engine.home / "node.json"
    before = json.loads(record.read_text()).get("line", NEWEST) if record.exists() else engine.line
    if before != engine.line:
        raise EngineError(f"this engine holds data of OpenSearch {before}: give another --name for {engine.line}")


def _prepare(engine: Engine, distribution: Path, java: Java, account: Account) -> None:
    """Folders that the account can write to, and the configuration."""
    strangers = engine.data.is_dir() and any(engine.data.iterdir()) and not (engine.data / "nodes").is_dir()
    if strangers:
        # Otherwise a slip of the finger would give somebody's folder to another user.
        raise EngineError(
            f"{engine.data} holds something else than OpenSearch's data: name an empty folder with --data"
        )
    settings: dict[str, Any] = {
        "http.port": engine.port,
        "transport.port": _free_port(),
        "path.data": str(engine.data),
        "path.logs": str(engine.home / "logs"),
        **(SETTINGS if engine.security else {}),
    }
    write_config(engine.home / "config", distribution, settings, engine.heap, java)
    if engine.security:
        engine.security.prepare(engine.home / "config")
    for folder in (engine.data, *(engine.home / name for name in ("config", "logs", "tmp"))):
        account.own(folder)
    if (free := shutil.disk_usage(engine.data).free) < LEAST_FREE:
        raise EngineError(
            f"the disk of {engine.data} has {free >> 20} MB left, and OpenSearch needs 1 GB to write an index: "
            "make room, or name a folder on another disk with --data"
        )


def _spawn(engine: Engine, distribution: Path, java: Java, account: Account) -> int:
    # The shell ends at once, so that the node outlives this process, and is no child that has to be waited for.
    script = '"$@" >"$LOG" 2>&1 </dev/null & echo $!'
    command = [
        "sh",
        "-c",
        script,
        "sh",
        str(distribution / "bin" / "opensearch"),
        f"-Epath.logs={engine.home / 'logs'}",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENSEARCH_")}
    environment |= {
        "LOG": str(engine.log),
        "HOME": str(engine.home / "tmp"),
        "OPENSEARCH_HOME": str(distribution),
        "OPENSEARCH_JAVA_HOME": str(java.home),
        "OPENSEARCH_PATH_CONF": str(engine.home / "config"),
        "OPENSEARCH_TMPDIR": str(engine.home / "tmp"),
    }
    answer = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, start_new_session=True, **account.popen()
    )
    return int(answer.stdout)


def _wait_until_healthy(engine: Engine, node: Node) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if _pid(engine) is None:
            raise EngineError(f"OpenSearch stopped while starting: {_last_words(engine.log)} (all of it: {engine.log})")
        if node.health() in ("green", "yellow") and _plugins_are_ready(engine, node):
            return
        time.sleep(0.2)
    raise EngineError(f"OpenSearch is {node.health()} after {START_LIMIT:.0f} s; its log says why: {engine.log}")


def _plugins_are_ready(engine: Engine, node: Node) -> bool:
    """ML Commons is ready later than the cluster, and so is the security plugin, which now gets its administrator."""
    if node.ask("/_plugins/_ml/stats") is None:
        return False
    return engine.security is None or node.ask(*engine.security.administrator()) is not None


def _last_words(log: Path) -> str:
    """Why a node died, as far as its log tells: the line that names the cause, else the last one."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["no word"]
    for sign in ("Likely root cause:", "Caused by:", "ERROR", "Error"):
        for line, following in zip(reversed(lines), ["", *reversed(lines)], strict=False):
            if sign in line:
                return f"{line}: {following}" if line.endswith("initialization of VM") else line
    return lines[-1]


def _gone_within(engine: Engine, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _pid(engine) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _pid(engine: Engine) -> int | None:
    """The process of the engine's node; None if it is gone, or if its number is another program's by now."""
    try:
        pid = int((engine.home / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if f"-Epath.logs={engine.home / 'logs'}" in command_line(pid) else None


def command_line(pid: int) -> str:
    """How that process was called; empty for none, and for one that has ended and was not yet waited for."""
    process = Path("/proc") / str(pid)
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for _ in range(20):
        try:
            words = (process / "cmdline").read_text(errors="replace")
            state = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        except OSError:
            return ""
        if words or state in "ZX":
            return words.replace("\0", " ")
        # Within an exec a process has no words for a moment, and the script that starts Java makes three.
        time.sleep(0.05)
    return ""


def _await_release(port: int) -> None:
    """A killed node counts as gone while the kernel still closes its port: until its last thread has ended."""
    deadline = time.monotonic() + STOP_LIMIT
    while _is_busy(port) and time.monotonic() < deadline:
        time.sleep(0.1)


def _is_busy(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as connection:
        connection.bind(("127.0.0.1", 0))
        return int(connection.getsockname()[1])
