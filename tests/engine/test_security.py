"""The secured line: which configuration starts, who may read the files, and what a second start keeps."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import stat
import subprocess
from contextlib import suppress
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from click.testing import CliRunner

from sorce.cluster import connect
from sorce.engine import Engine, Node, start
from sorce.engine.certificates import Authority
from sorce.engine.commands import engine as commands
from sorce.engine.launch import refuse_other_line
from sorce.engine.security import Security
from sorce.errors import EngineError, MissingTool
from tests.kit.place import Place


@pytest.fixture
def security(secured: Node) -> Security:
    assert secured.security is not None
    return Security(Path(secured.security))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secured_line_is_the_oldest_with_its_plugins(secured: Node) -> None:
    assert secured.url.startswith("https://127.0.0.1:")
    assert secured.health() in ("green", "yellow")
    info = secured.ask("/")
    assert info is not None
    assert info["version"]["number"] == "2.19.1"
    found = secured.ask("/_nodes/plugins")
    assert found is not None
    [node] = found["nodes"].values()
    assert {each["name"] for each in node["plugins"]} == {
        f"opensearch-{name}" for name in ("job-scheduler", "knn", "ml", "neural-search", "security")
    }
    assert {each["name"] for each in node["modules"]} == {
        "lang-mustache",
        "lang-painless",
        "reindex",
        "transport-netty4",
    }


def test_who_says_nothing_is_not_answered(secured: Node, security: Security) -> None:
    connection = HTTPSConnection("127.0.0.1", secured.port, context=ssl.create_default_context(cafile=security.ca))
    connection.request("GET", "/")
    assert connection.getresponse().status == 401
    connection.close()


def test_secrets_are_for_their_owner_alone(security: Security) -> None:
    assert mode(security.folder) == 0o700
    assert mode(security.password_file) == mode(security.key) == 0o600
    config = security.folder.parent / "config"
    assert mode(config / "certificates" / "node.key") == 0o600
    assert mode(config / "opensearch-security" / "config.yml") == 0o600


@pytest.mark.fault("10.2.3")
@pytest.mark.skipif(
    not os.environ.get("SORCE_TEST_SECURED", "{").startswith("{"), reason="an older sorce may have started that engine"
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as another account")
def test_another_account_can_read_nothing_of_the_secured_engine(security: Security) -> None:
    command = ["find", *map(str, security.folder.parent.iterdir()), "-type", "f", "-readable"]
    seen = subprocess.run(command, capture_output=True, text=True, check=False, user=12345, group=12345, cwd="/")
    assert seen.stdout == ""
    assert "Permission denied" in seen.stderr


def test_the_password_is_in_its_file_and_nowhere_else(secured: Node, security: Security) -> None:
    password = security.password_file.read_bytes()
    assert len(password) == 32
    holding = []
    for folder, _, names in os.walk(security.folder.parent):
        for path in (Path(folder, name) for name in names):
            # The engine removes files meanwhile, and has sockets and pipes.
            with suppress(FileNotFoundError):
                if path.is_file() and password in path.read_bytes():
                    holding.append(path)
    assert holding == [security.password_file]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert password not in process.read_bytes()
        except OSError:
            continue  # the process has ended
    assert password.decode() not in f"{secured} {secured.environment}"


def test_status_prints_what_a_person_needs_and_no_password(
    secured: Node, security: Security, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = security.folder.parent
    monkeypatch.setattr(Engine, "named", lambda *_, **__: Engine(home, home / "data", secured.port, line="2.19"))
    said = json.loads(CliRunner().invoke(commands, ["status", "--json"]).stdout)
    assert said["environment"] == {
        "OPENSEARCH_URL": secured.url,
        "OPENSEARCH_CA_FILE": str(security.ca),
        "OPENSEARCH_USERNAME": "admin",
        "OPENSEARCH_PASSWORD_FILE": str(security.password_file),
    }


def test_what_is_printed_is_all_that_a_command_needs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    with connect() as client:
        # Red, too: a test that runs at the same time may keep a shard unassigned.
        assert client.cluster.health()["status"] in ("green", "yellow", "red")


def test_a_second_start_keeps_the_password_and_makes_new_certificates(tmp_path: Path) -> None:
    security, config = Security(tmp_path / "security"), tmp_path / "config"
    (config / "opensearch-security").mkdir(parents=True)
    security.prepare(config)
    first = security.password_file.read_text(), security.key.read_text()
    # Each start makes the configuration anew.
    shutil.rmtree(config)
    (config / "opensearch-security").mkdir(parents=True)
    security.prepare(config)
    assert security.password_file.read_text() == first[0]
    assert security.key.read_text() != first[1]
    assert {mode(file) for file in (config / "opensearch-security").iterdir()} == {0o600}
    security.context()


@pytest.mark.fault("12.4.5")
def test_the_documentation_names_what_the_secured_line_needs() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs/secured.md").read_text(encoding="utf-8").split())
    _, _, following = page.partition("`sorce engine start --line 2.19`")
    assert "`pip install 'sorce[engine]'`" in following.partition(". ")[0]


def test_missing_certificates_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"security lacks certificates: stop the engine and start it again$"):
        Security(tmp_path / "security").context()


def test_another_line_does_not_touch_the_data(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text("{}")  # as written before there were two lines
    with pytest.raises(EngineError, match=r"holds data of OpenSearch 3\.6: give another --name for 2\.19"):
        refuse_other_line(tmp_path, "2.19")


@pytest.mark.fault("12.4.5")
def test_a_secured_line_without_its_package_is_refused_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    said: list[str] = []
    with pytest.raises(MissingTool, match=r"needs the package cryptography: run pip install 'sorce\[engine\]'$"):
        start(Engine(tmp_path / "home", tmp_path / "data", port=0, line="2.19"), said.append)
    assert said == []


@pytest.mark.fault("12.4.5")
def test_the_help_names_what_the_secured_line_needs() -> None:
    said = " ".join(CliRunner().invoke(commands, ["start", "--help"]).stdout.split())
    assert "needs Java 11 to 21 and the packages of `pip install 'sorce[engine]'`" in said


def test_a_line_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"there is no line '2\.4' of OpenSearch here: use one of 3\.6, 2\.19"):
        Engine(tmp_path, tmp_path, line="2.4")


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_key_is_never_open_to_others(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        Authority().issue("x").write(tmp_path / "x.pem", tmp_path / "x.key")
    finally:
        os.umask(before)
    assert mode(tmp_path / "x.key") == 0o600
