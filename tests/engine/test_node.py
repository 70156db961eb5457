"""Against the real OpenSearch; in the order of a node's life, since each start takes a quarter of a minute."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from click.testing import CliRunner, Result

from sorce.engine import Engine, Node, start, status, stop
from sorce.engine.commands import engine as commands
from sorce.engine.node import command_line
from sorce.engine.paths import Account
from sorce.errors import EngineError

from .conftest import Program

NAME = f"test-{os.getpid()}"


def ask(url: str, body: dict[str, Any] | None = None, method: str = "GET") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


def run(*words: str) -> Result:
    return CliRunner().invoke(commands, [*words, "--name", NAME])


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    engine = Engine.named(NAME, port=port, heap="512m")
    yield engine
    stop(engine)
    shutil.rmtree(engine.home)


@pytest.fixture(scope="module")
def node(engine: Engine) -> Node:
    return start(engine)


def test_before_the_first_start_nothing_runs(engine: Engine) -> None:
    assert status(engine) is None
    assert not stop(engine)
    assert run("status").exit_code == 1
    assert json.loads(run("status", "--json").stdout) == {"name": NAME, "running": False}


def test_a_node_that_dies_while_starting_is_told_with_its_cause(engine: Engine) -> None:
    with pytest.raises(EngineError, match=r"OpenSearch stopped while starting: .*Too small"):
        start(Engine(engine.home, engine.data, engine.port, heap="1k"))
    assert status(engine) is None


def test_a_started_node_is_healthy_and_has_the_plugins(node: Node) -> None:
    assert node.health() == "green"
    assert ask(node.url)["version"]["number"] == "3.6.0"
    plugins = {plugin["component"] for plugin in ask(f"{node.url}/_cat/plugins?format=json")}
    assert plugins == {"opensearch-job-scheduler", "opensearch-knn", "opensearch-ml", "opensearch-neural-search"}


@pytest.mark.usefixtures("node")
def test_it_does_not_run_as_root(engine: Engine) -> None:
    assert (engine.data / "nodes").stat().st_uid == Account.current().uid != 0


def test_a_second_start_finds_the_first(engine: Engine, node: Node) -> None:
    assert start(engine) == node
    again = run("start", "--port", str(engine.port), "--heap", "512m")
    assert (again.exit_code, again.stdout) == (0, f"{node.url}\n")
    assert again.stderr == f"Already running at {node.url} (process {node.pid}).\n"


def test_a_second_start_at_another_port_is_refused(engine: Engine, node: Node) -> None:
    refused = run("start", "--port", str(engine.port + 1))
    assert isinstance(refused.exception, EngineError)
    assert str(refused.exception) == (
        f"this engine already runs at {node.url}: use that, stop it first, or give another --name"
    )


@pytest.mark.usefixtures("node")
def test_a_busy_port_is_refused(engine: Engine, room: Path) -> None:
    with pytest.raises(EngineError, match=rf"port {engine.port} is in use by another program: give another --port"):
        start(Engine(room / "other", room / "other" / "data", engine.port))


def test_status_tells_what_runs(node: Node) -> None:
    told = json.loads(run("status", "--json").stdout)
    assert (told["running"], told["url"], told["pid"], told["health"]) == (True, node.url, node.pid, "green")
    assert run("status").stdout.startswith(f"{node.url} is green: process {node.pid}, heap 512m, Java ")


def test_a_killed_node_leaves_a_stale_pid_file_and_keeps_its_data(engine: Engine, node: Node) -> None:
    ask(f"{node.url}/kept/_doc/1", {"text": "kept"}, "PUT")
    os.kill(node.pid, signal.SIGKILL)
    until(lambda: not command_line(node.pid))
    assert (engine.home / "pid").exists()
    assert status(engine) is None
    assert not stop(engine)
    again = start(engine)
    assert ask(f"{again.url}/kept/_doc/1")["_source"] == {"text": "kept"}


def test_stop_ends_the_process_and_a_second_stop_finds_nothing(engine: Engine) -> None:
    node = status(engine)
    assert node is not None
    assert run("stop").stderr == "Stopped.\n"
    assert not command_line(node.pid)
    assert not (engine.home / "pid").exists()
    again = run("stop")
    assert (again.exit_code, again.stderr) == (0, f"No engine '{NAME}' is running.\n")


def test_a_pid_file_with_another_programs_number_does_no_harm(engine: Engine) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (engine.home / "pid").write_text(f"{bystander.pid}\n")
        assert status(engine) is None
        assert not stop(engine)
        assert bystander.poll() is None
        bystander.terminate()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_running_leaves_nothing_behind_however_its_process_ends(room: Path, end: signal.Signals) -> None:
    script = "from sorce.engine import running\nwith running(heap='512m'): pass"
    environment = os.environ | {"TMPDIR": str(room)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL) as owner:
        pid = int(until(lambda: "".join(path.read_text() for path in room.glob("sorce-engine-*/pid"))))
        assert command_line(pid)
        owner.send_signal(end)
    until(lambda: not list(room.glob("sorce-engine-*")))
    assert not command_line(pid)


def test_the_shared_fixture_is_a_real_opensearch(opensearch: str) -> None:
    assert ask(opensearch)["version"]["distribution"] == "opensearch"


def test_the_command_needs_no_torch() -> None:
    script = "import sorce.engine.commands, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_process_within_an_exec_is_not_taken_for_gone(program: Program) -> None:
    again = program("again", 'if [ "$1" = 0 ]; then exec sleep 60; else exec "$0" $(($1 - 1)); fi')
    with subprocess.Popen([again, "300"]) as process:
        try:
            while "sleep" not in (words := command_line(process.pid)):
                assert words
        finally:
            process.terminate()
