"""Tests with a real OpenSearch. Those that only look share one node, since each start takes 15 seconds."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from click.testing import CliRunner, Result

from sorce.engine import Engine, Node, start, status, stop
from sorce.engine.commands import engine as commands
from sorce.engine.paths import Account
from sorce.engine.process import look_up
from sorce.errors import EngineError
from sorce.ports import free_ports

# It starts several engines.
pytestmark = pytest.mark.long

NAME = f"test-{os.getpid()}"
FRESH = f"{NAME}-fresh"
SECRETS = ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "SORCE_API_KEY", "JAVA_TOOL_OPTIONS")


def ask(url: str, body: dict[str, Any] | None = None, method: str = "GET") -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)
    with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
        return json.load(answer)


def run(*words: str, name: str = NAME) -> Result:
    return CliRunner().invoke(commands, [*words, "--name", name])


def until(condition: Callable[[], Any], seconds: float = 300.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return value


@contextmanager
def named(name: str) -> Iterator[Engine]:
    [port] = free_ports(1)
    engine = Engine.named(name, port=port, heap="512m", quick_start=True)
    yield engine
    stop(engine)
    shutil.rmtree(engine.home, ignore_errors=True)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """For tests that only look at its node."""
    with named(NAME) as engine:
        yield engine


@pytest.fixture
def fresh() -> Iterator[Engine]:
    """Of one test; it is not started."""
    with named(FRESH) as engine:
        yield engine


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the first start has said."""
    return []


@pytest.fixture(scope="module")
def node(engine: Engine, said: list[str]) -> Node:
    """Started twice at once, by a caller with secrets in its environment."""
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        for name in SECRETS:
            patch.setenv(name, "secret")
        first, second = pool.map(lambda say: start(engine, say), (said.append, said.append))
    assert first == second
    return first


def test_before_the_first_start_nothing_runs(fresh: Engine) -> None:
    assert status(fresh) is None
    assert not stop(fresh)
    assert run("status", name=FRESH).exit_code == 1
    assert json.loads(run("status", "--json", name=FRESH).stdout) == {"name": FRESH, "running": False}


def test_options_that_java_refuses_are_told(fresh: Engine) -> None:
    with pytest.raises(EngineError, match=r"Java refuses its options in .*/jvm\.options: .*Too small"):
        start(replace(fresh, heap="1k"))
    assert status(fresh) is None


def test_a_node_that_dies_while_starting_is_told_with_its_cause(fresh: Engine) -> None:
    with socket.socket() as bound:
        # The port is bound, but not listening: only OpenSearch itself can find out that it is taken.
        bound.bind(("127.0.0.1", fresh.port))
        with pytest.raises(
            EngineError, match=r"OpenSearch stopped while starting: .*BindException: Address already in use"
        ):
            start(fresh)
    assert status(fresh) is None


def test_a_started_node_is_healthy_and_has_the_plugins(node: Node) -> None:
    # An index of a plugin may just come into being.
    assert until(lambda: node.health() == "green")
    assert ask(node.url)["version"]["number"] == "3.6.0"
    plugins = {plugin["component"] for plugin in ask(f"{node.url}/_cat/plugins?format=json")}
    assert plugins == {"opensearch-job-scheduler", "opensearch-knn", "opensearch-ml", "opensearch-neural-search"}


def test_two_starts_at_once_start_one_node(node: Node, said: list[str]) -> None:
    assert sum(sentence.startswith("Starting OpenSearch") for sentence in said) == 1
    assert f"Already running at {node.url} (process {node.pid})." in said


@pytest.mark.fault("12.4.4")
@pytest.mark.usefixtures("node")
def test_a_start_says_what_it_does_and_also_logs_it(engine: Engine, said: list[str]) -> None:
    assert any(sentence.startswith("Looking for Java 21 or newer") for sentence in said)
    logged = [line.partition(" ")[2] for line in (engine.home / "start.log").read_text().splitlines()]
    assert set(said) <= set(logged)


@pytest.mark.fault("10.2.2")
def test_the_engine_gets_no_secret_of_its_callers_environment(node: Node) -> None:
    environment = (Path("/proc") / str(node.pid) / "environ").read_text().split("\0")
    names = {variable.partition("=")[0] for variable in environment if variable}
    assert names <= {"HOME", "LANG", "LANGUAGE", "LOG", "OPENSEARCH_TMPDIR", "PATH", "PWD", "TZ"} | {
        name for name in os.environ if name.startswith("LC_")
    }
    assert "secret" not in "".join(environment)


@pytest.mark.fault("10.2.3")
@pytest.mark.usefixtures("node")
def test_data_configuration_and_logs_are_closed_to_other_accounts(engine: Engine) -> None:
    for folder in (engine.data, engine.home / "config", engine.home / "logs", engine.home / "tmp"):
        assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o700, Account.current().uid)
    assert set(modes(engine.data)) == {0o600}


def modes(folder: Path) -> Iterator[int]:
    """Of the files, which a running node makes and removes meanwhile."""
    for inside, _, files in os.walk(folder):
        for file in files:
            with suppress(FileNotFoundError):
                yield stat.S_IMODE(Path(inside, file).stat().st_mode)


@pytest.mark.fault("10.2.3")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as another account")
@pytest.mark.usefixtures("node")
def test_another_account_can_read_no_file_of_the_engine(engine: Engine) -> None:
    command = ["find", *map(str, engine.home.iterdir()), "-type", "f", "-readable"]
    seen = subprocess.run(command, capture_output=True, text=True, check=False, user=12345, group=12345, cwd="/")
    assert seen.stdout == ""
    assert "Permission denied" in seen.stderr


@pytest.mark.usefixtures("node")
def test_it_does_not_run_as_root(engine: Engine) -> None:
    assert (engine.data / "nodes").stat().st_uid == Account.current().uid != 0


def test_a_second_start_finds_the_first(engine: Engine, node: Node) -> None:
    assert start(engine) == node
    again = run("start", "--port", str(engine.port))
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
    # Yellow, if another test has made an index.
    health = ask(f"{node.url}/_cluster/health")["status"]
    assert (told["running"], told["url"], told["pid"], told["health"]) == (True, node.url, node.pid, health)
    assert run("status").stdout.startswith(f"{node.url} is {health}: process {node.pid}, heap 512m, Java ")


def test_a_killed_node_keeps_its_data_and_a_stopped_one_leaves_no_pid_file(fresh: Engine) -> None:
    node = start(fresh)
    ask(f"{node.url}/kept/_doc/1", {"text": "kept"}, "PUT")
    os.kill(node.pid, signal.SIGKILL)
    until(lambda: look_up(node.pid) is None)
    assert (fresh.home / "pid").exists()
    assert status(fresh) is None
    assert not stop(fresh)
    again = start(fresh)
    assert ask(f"{again.url}/kept/_doc/1")["_source"] == {"text": "kept"}
    assert run("stop", name=FRESH).stderr == "Stopped.\n"
    assert look_up(again.pid) is None
    assert not (fresh.home / "pid").exists()
    second = run("stop", name=FRESH)
    assert (second.exit_code, second.stderr) == (0, f"No engine '{FRESH}' is running.\n")


def test_a_pid_file_with_another_programs_number_does_no_harm(fresh: Engine) -> None:
    fresh.home.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (fresh.home / "pid").write_text(f"{bystander.pid}\n")
        assert status(fresh) is None
        assert not stop(fresh)
        assert bystander.poll() is None
        bystander.terminate()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_running_leaves_nothing_behind_however_its_process_ends(room: Path, end: signal.Signals) -> None:
    script = "from sorce.engine import running\nwith running(heap='512m', quick_start=True): pass"
    environment = os.environ | {"TMPDIR": str(room)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL) as owner:
        pid = int(until(lambda: "".join(path.read_text() for path in room.glob("sorce-engine-*/pid"))))
        assert look_up(pid) is not None
        owner.send_signal(end)
    until(lambda: not list(room.glob("sorce-engine-*")))
    assert look_up(pid) is None


def test_the_shared_fixture_is_a_real_opensearch(opensearch: str) -> None:
    assert ask(opensearch)["version"]["distribution"] == "opensearch"


def test_the_command_needs_no_torch() -> None:
    script = "import sorce.engine.commands, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
