"""Prepare an engine's folders and start its OpenSearch, without waiting until it answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sorce.engine.config import write_config
from sorce.engine.distribution import distribution
from sorce.engine.environment import common_environment
from sorce.engine.files import read_file, user_name
from sorce.engine.java import Java, find_java
from sorce.engine.lines import LINES, NEWEST
from sorce.engine.node import Engine, Node
from sorce.engine.paths import Account, cache_folder
from sorce.engine.ports import is_busy, wait_until_closed
from sorce.engine.process import proof
from sorce.engine.progress import Say
from sorce.engine.security import NODE_SETTINGS
from sorce.errors import EngineError

LEAST_FREE = 1 << 30  # bytes; with less, OpenSearch refuses to create an index


def launch(engine: Engine, say: Say) -> Node:
    """Start the engine's process. Nothing may run there yet. The caller holds the lock of the engine's folder."""
    _check_port(engine)
    refuse_other_line(engine.home, engine.line)
    if engine.security:
        engine.security.check_packages()
    account, cache, line = Account.current(), cache_folder(), LINES[engine.line]
    say(f"Looking for {line.needs} ...")
    java = find_java(line, account, cache)
    opensearch = distribution(line, cache, java, say)
    try:
        _prepare(engine, opensearch, java, account)
    except OSError as error:
        raise EngineError(
            f"cannot write to {error.filename} ({error.strerror}): name another folder with --data or SORCE_CACHE"
        ) from error
    where = engine.url if engine.port else "a free port"
    say(f"Starting {line} at {where} with {java}, as user '{account.name}' ...")
    return _spawn(engine, opensearch, java, account)


def _check_port(engine: Engine) -> None:
    if not engine.port:
        return
    if (engine.home / "pid").exists():
        wait_until_closed(engine.port)
    if is_busy(engine.port):
        raise EngineError(f"port {engine.port} is in use by another program: give another --port, or stop that program")


def refuse_other_line(home: Path, line: str) -> None:
    """Raise EngineError if the engine has data of another line: OpenSearch cannot read the data of a newer one."""
    try:
        before = json.loads(read_file(home / "node.json")).get("line", NEWEST)
    except FileNotFoundError:
        return
    if before != line:
        raise EngineError(f"this engine holds data of OpenSearch {before}: give another --name for {line}")


def _prepare(engine: Engine, opensearch: Path, java: Java, account: Account) -> None:
    """Create the folders that the account can write to, and the configuration."""
    _check_data(engine.data, account)
    settings: dict[str, Any] = {
        "http.port": engine.port,
        # OpenSearch chooses a free port itself, so that two simultaneous starts cannot choose the same one.
        "transport.port": 0,
        # OpenSearch writes its ports to logs/http.ports and logs/transport.ports.
        "node.portsfile": True,
        "path.data": str(engine.data),
        "path.logs": str(engine.home / "logs"),
        **(NODE_SETTINGS if engine.security else {}),
        **(engine.peers.settings if engine.peers else {}),
    }
    # The fast compiler does not use Java's vector module, and Java starts faster without it.
    usable = replace(java, has_vectors=java.has_vectors and not engine.quick_start)
    config = write_config(engine.home, opensearch, settings, _java_options(engine), usable)
    if engine.security:
        engine.security.prepare(config)
    account.give(config)
    for folder in (engine.data, engine.home / "logs", engine.home / "tmp"):
        account.own_folder(folder)
    with suppress(FileNotFoundError):
        ports_file(engine.home).unlink()
    if (free := shutil.disk_usage(engine.data).free) < LEAST_FREE:
        raise EngineError(
            f"the disk of {engine.data} has {free >> 20} MB left, and OpenSearch needs 1 GB to write an index: "
            "free some, or name a folder on another disk with --data"
        )


def _java_options(engine: Engine) -> list[str]:
    options = [f"-Xms{engine.heap}", f"-Xmx{engine.heap}"]
    # The second compiler uses more CPU time than everything else in a start. Touching the whole heap costs memory.
    return [*options, "-XX:TieredStopAtLevel=1", "-XX:-AlwaysPreTouch"] if engine.quick_start else options


def _check_data(data: Path, account: Account) -> None:
    """Raise EngineError if this folder is not a place for OpenSearch's data: the account becomes its owner."""
    if not data.is_dir() or not any(data.iterdir()):
        return
    if not (data / "nodes").is_dir():
        # A mistyped --data must not give somebody's folder to another user.
        raise EngineError(f"{data} holds something else than OpenSearch's data: name an empty folder with --data")
    for parent, folders, files in os.walk(data):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                owner = (Path(parent) / name).lstat().st_uid
                if owner != account.uid:
                    raise EngineError(
                        f"{Path(parent) / name} belongs to user '{user_name(owner)}', but OpenSearch runs as user "
                        f"'{account.name}': run `chown -R {account.name} {data}` if all of it is OpenSearch's data"
                    )


def ports_file(home: Path) -> Path:
    """The file in which OpenSearch writes its HTTP address once it answers."""
    return home / "logs" / "http.ports"


def chosen_port(home: Path) -> int | None:
    """The port that OpenSearch has chosen. None if it has not chosen one yet."""
    try:
        found = re.search(r"^127\.0\.0\.1:(\d+)$", read_file(ports_file(home)), re.MULTILINE)
    except FileNotFoundError:
        return None
    return int(found[1]) if found else None


# The child waits until its process number is recorded: if this process dies before that, the child ends with it. The
# shell itself ends at once. So OpenSearch outlives this process, and is no child that must be waited for.
_SCRIPT = 'exec 3<&0; { read -r go <&3 && exec 3<&- && exec "$@"; } >"$LOG" 2>&1 </dev/null & echo $!'


def _spawn(engine: Engine, opensearch: Path, java: Java, account: Account) -> Node:
    environment = common_environment() | {
        "LOG": str(engine.log),
        "HOME": str(engine.home / "tmp"),
        "OPENSEARCH_TMPDIR": str(engine.home / "tmp"),
    }
    # Some of OpenSearch's Java options name files relative to its folder.
    as_account = account.popen() | {"env": environment, "umask": 0o077, "cwd": opensearch}
    command = ["sh", "-c", _SCRIPT, "sh", *_command(engine, opensearch, java, as_account)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, **as_account
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        pid = int(shell.stdout.readline())
        security = None if engine.security is None else str(engine.security.folder)
        node = Node(pid, engine.url, str(engine.data), engine.heap, str(java), engine.line, security)
        node.record(engine.home)
        shell.stdin.write("go\n")
    return node


def _command(engine: Engine, opensearch: Path, java: Java, as_account: dict[str, Any]) -> list[str]:
    """The Java command of `bin/opensearch`. That script first starts five other Javas, which takes seconds."""
    config, classes = engine.home / "config", f"{opensearch}/lib/*"
    executable = [str(java.home / "bin" / "java"), "-Xshare:auto"]
    parser = [*executable, "-cp", classes, "org.opensearch.tools.launchers.JvmOptionsParser", str(config)]
    answer = subprocess.run(parser, capture_output=True, text=True, check=False, **as_account)
    if answer.returncode != 0:
        raise EngineError(f"Java refuses its options in {config / 'jvm.options'}: {' '.join(answer.stderr.split())}")
    return [
        *executable,
        *answer.stdout.split(),
        f"-Dopensearch.path.home={opensearch}",
        f"-Dopensearch.path.conf={config}",
        "-Dopensearch.distribution.type=zip",
        "-Dopensearch.bundled_jdk=false",
        "-cp",
        classes,
        "org.opensearch.bootstrap.OpenSearch",
        proof(engine.home),
    ]
