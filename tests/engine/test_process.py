"""Which process is the engine's, and that no other process is ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sorce.engine.files import write_file
from sorce.engine.paths import Account
from sorce.engine.process import end, engine_pid, look_up, proof
from sorce.engine.temporary import watcher
from sorce.errors import EngineError

from .conftest import Program


@pytest.fixture
def home(room: Path) -> Path:
    (room / "home").mkdir()
    return room / "home"


@contextmanager
def bystander(*words: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sh", "-c", "echo up; read -r _", *words], stdin=-1, stdout=-1, **options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            yield process
        finally:
            process.kill()


def watch(home: Path) -> None:
    """What happens when the process that made a temporary engine is gone."""
    answer = subprocess.run(watcher(home), input=b"", capture_output=True, check=True)
    assert (answer.stdout, answer.stderr) == (b"", b"")
    assert not home.exists()


@pytest.mark.fault("10.2.5")
def test_the_watcher_does_not_end_another_program_whose_number_is_in_the_pid_file(home: Path) -> None:
    with bystander() as process:
        (home / "pid").write_text(f"{process.pid}\n")
        watch(home)
        assert process.poll() is None


@pytest.mark.fault("10.s.57")
@pytest.mark.parametrize("almost", ["-Epath.logs={}/logs2", "grep -Epath.logs={}/logs", "-Epath.logs={}/../home/logs"])
def test_a_command_line_that_only_resembles_the_engines_proves_nothing(home: Path, almost: str) -> None:
    with bystander(almost.format(home), **Account.current().popen()) as process:
        (home / "pid").write_text(f"{process.pid}\n")
        assert engine_pid(home) is None
        assert not end(home)
        assert process.poll() is None


@pytest.mark.fault("10.s.58")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as another user")
def test_a_process_of_another_user_is_not_the_engine(home: Path) -> None:
    with bystander(proof(home), user=12345) as process:
        (home / "pid").write_text(f"{process.pid}\n")
        assert engine_pid(home) is None
        watch(home)
        assert process.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_an_engine_that_another_user_started_is_a_sentence(home: Path) -> None:
    write_file(home / "pid", b"1")
    os.seteuid(12345)
    try:
        with pytest.raises(EngineError, match=r"/home is closed to you: run the command as the user who started"):
            engine_pid(home)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("content", ["", "none", "-1", "0", "4194304999", "1 2"])
def test_a_pid_file_without_a_number_of_a_process_is_no_engine(home: Path, content: str) -> None:
    (home / "pid").write_text(content)
    assert engine_pid(home) is None
    assert not end(home)


def test_the_engines_process_is_found_and_ended(home: Path) -> None:
    with bystander(proof(home), **Account.current().popen()) as process:
        (home / "pid").write_text(f"{process.pid}\n")
        assert engine_pid(home) == process.pid
        assert end(home)
        assert process.wait() < 0


def test_a_process_within_an_exec_is_not_taken_for_gone(program: Program) -> None:
    again = program("again", 'if [ "$1" = 0 ]; then exec sleep 60; else exec "$0" $(($1 - 1)); fi')
    with subprocess.Popen([again, "300"]) as process:
        try:
            while (seen := look_up(process.pid)) is None or "sleep" not in seen.words:
                assert seen is not None
        finally:
            process.terminate()
