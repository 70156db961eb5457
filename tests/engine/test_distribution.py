import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sorce.engine.distribution import LINE, distribution
from sorce.engine.java import Java
from sorce.errors import EngineError, MissingTool

from .conftest import Program

JAVA = Java(Path("/java"), "25.0.3", has_vectors=True)


def say(_: str) -> None:
    pass


@pytest.fixture
def fake_maven(room: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An mvn that brings a tiny OpenSearch; the file has a line for each call."""
    tool = program("opensearch-plugin", 'echo "$@" > "$OPENSEARCH_HOME/installed"')
    with zipfile.ZipFile(room / "opensearch.zip", "w") as archive:
        archive.write(tool, "opensearch-0.1/bin/opensearch-plugin")
        archive.write(tool, "opensearch-0.1/bin/opensearch")
    calls = room / "calls"
    program(
        "mvn",
        f'echo "$@" >> {calls}; for word; do case "$word" in -DoutputDirectory=*) to=${{word#*=}};; esac; done\n'
        f'mkdir -p "$to"; cp {room}/opensearch.zip "$to"; touch "$to/2-b.zip" "$to/1-a.zip"',
    )
    monkeypatch.setenv("PATH", f"{room / 'bin'}:{os.environ['PATH']}")
    return calls


def test_without_maven_a_sentence_says_so(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(room))
    with pytest.raises(MissingTool, match="Maven is needed once"):
        distribution(room, JAVA, say)


def test_what_maven_complains_about_is_told(room: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("mvn", "echo '[ERROR] no route to host -> [Help 1]'; exit 1")
    monkeypatch.setenv("PATH", f"{room / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(EngineError, match=r"check the network, then try again\): no route to host$"):
        distribution(room, JAVA, say)
    assert not [path for path in room.iterdir() if path.name.startswith((".", "opensearch"))]


@pytest.mark.usefixtures("fake_maven")
def test_plugins_are_installed_in_the_order_of_their_numbers(room: Path) -> None:
    home = distribution(room, JAVA, say)
    words = (home / "installed").read_text().split()
    assert words[:2] == ["install", "--batch"]
    assert [word.rpartition("/")[2] for word in words[2:]] == ["1-a.zip", "2-b.zip"]


def test_four_at_once_unpack_once(room: Path, fake_maven: Path) -> None:
    (room / ".unpacking-of-a-killed-process").mkdir()
    with ThreadPoolExecutor(4) as pool:
        homes = set(pool.map(lambda _: distribution(room, JAVA, say), range(4)))
    assert homes == {room / f"opensearch-{LINE}"}
    assert len(fake_maven.read_text().splitlines()) == 1
    assert not list(room.glob(".unpacking-*"))


@pytest.mark.usefixtures("fake_maven")
def test_everyone_can_read_what_was_unpacked_under_a_strict_umask(room: Path) -> None:
    before = os.umask(0o077)
    try:
        home = distribution(room, JAVA, say)
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "bin").stat().st_mode) == 0o755
    assert stat.S_IMODE((home / "bin" / "opensearch").stat().st_mode) == 0o755
    assert (home / "installed").stat().st_mode & 0o444 == 0o444
