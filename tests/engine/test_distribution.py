import hashlib
import os
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sorce.engine import maven
from sorce.engine.distribution import distribution
from sorce.engine.java import Java
from sorce.engine.lines import LINES, NEWEST
from sorce.errors import EngineError, MissingTool

from .conftest import Program

LINE, OLDEST = LINES[NEWEST], LINES["2.19"]
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
    fetched = {"opensearch.zip": (room / "opensearch.zip").read_bytes(), "1-a.zip": b"", "2-b.zip": b""}
    modules = {f"modules/{each.name}/x.jar": b"" for each in OLDEST.modules}
    pin(room, monkeypatch, {LINE.version: fetched, OLDEST.version: fetched | modules})
    return calls


def pin(room: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, dict[str, bytes]]) -> None:
    """Let these files be those that sorce was tested with."""
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {version}/{name}\n"
        for version, named in files.items()
        for name, content in named.items()
    ]
    (room / "checksums.txt").write_text("".join(lines))
    monkeypatch.setattr(maven, "CHECKSUMS", room / "checksums.txt")


def test_without_maven_a_sentence_says_so(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(room))
    with pytest.raises(MissingTool, match="Maven is needed once"):
        distribution(LINE, room, JAVA, say)


def test_what_maven_complains_about_is_told(room: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("mvn", "echo '[ERROR] no route to host -> [Help 1]'; exit 1")
    monkeypatch.setenv("PATH", f"{room / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(EngineError, match=r"check the network, then try again\): no route to host$"):
        distribution(LINE, room, JAVA, say)
    assert not [path for path in room.iterdir() if path.name.startswith((".", "opensearch"))]


@pytest.mark.usefixtures("fake_maven")
def test_plugins_are_installed_in_the_order_of_their_numbers(room: Path) -> None:
    home = distribution(LINE, room, JAVA, say)
    words = (home / "installed").read_text().split()
    assert words[:2] == ["install", "--batch"]
    assert [word.rpartition("/")[2] for word in words[2:]] == ["1-a.zip", "2-b.zip"]


def test_four_at_once_unpack_once(room: Path, fake_maven: Path) -> None:
    (room / ".unpacking-of-a-killed-process").mkdir()
    with ThreadPoolExecutor(4) as pool:
        homes = set(pool.map(lambda _: distribution(LINE, room, JAVA, say), range(4)))
    assert homes == {room / f"opensearch-{LINE.version}"}
    assert len(fake_maven.read_text().splitlines()) == 1
    assert not list(room.glob(".unpacking-*"))


@pytest.mark.usefixtures("fake_maven")
def test_everyone_can_read_what_was_unpacked_under_a_strict_umask(room: Path) -> None:
    before = os.umask(0o077)
    try:
        home = distribution(LINE, room, JAVA, say)
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "bin").stat().st_mode) == 0o755
    assert stat.S_IMODE((home / "bin" / "opensearch").stat().st_mode) == 0o755
    assert (home / "installed").stat().st_mode & 0o444 == 0o444


@pytest.mark.usefixtures("fake_maven")
def test_a_module_that_the_distribution_lacks_is_put_together(room: Path) -> None:
    mvn = room / "bin" / "mvn"
    folders = [f"$to/modules/{each.name}" for each in OLDEST.modules]
    jars = "".join(f'mkdir -p "{folder}"; touch "{folder}/x.jar"\n' for folder in folders)
    mvn.write_text(mvn.read_text() + jars)
    home = distribution(OLDEST, room, JAVA, say)
    assert {path.name for path in (home / "modules").iterdir()} == {"lang-painless", "lang-mustache", "reindex"}
    mustache = home / "modules" / "lang-mustache"
    described = (mustache / "plugin-descriptor.properties").read_text().splitlines()
    assert "classname=org.opensearch.script.mustache.MustachePlugin" in described
    granted = (mustache / "plugin-security.policy").read_text()
    assert 'permission java.lang.RuntimePermission "accessDeclaredMembers";' in granted
    assert (mustache / "x.jar").exists()
    assert not (home / "modules" / "reindex" / "plugin-security.policy").exists()


@pytest.mark.fault("10.3.2")
def test_what_maven_fetches_must_have_the_pinned_sum(
    room: Path, fake_maven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = {"opensearch.zip": (room / "opensearch.zip").read_bytes(), "1-a.zip": b"", "2-b.zip": b"other"}
    pin(room, monkeypatch, {LINE.version: pinned})
    with pytest.raises(
        EngineError, match=r"fetched as 2-b\.zip is not the file of OpenSearch 3\.6\.0 that .* remove it"
    ):
        distribution(LINE, room, JAVA, say)
    assert fake_maven.exists()
    assert not (room / f"opensearch-{LINE.version}").exists()


@pytest.mark.fault("10.s.59")
@pytest.mark.usefixtures("fake_maven")
@pytest.mark.parametrize("names", [["opensearch.zip", "1-a.zip"], ["opensearch.zip", "1-a.zip", "2-b.zip", "3-c.zip"]])
def test_maven_must_fetch_all_pinned_files_and_no_other(
    room: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    content = (room / "opensearch.zip").read_bytes()
    pin(room, monkeypatch, {LINE.version: {name: content if "open" in name else b"" for name in names}})
    with pytest.raises(EngineError, match=r"other files than pom\.xml names \((2-b|3-c)\.zip\)"):
        distribution(LINE, room, JAVA, say)
    assert not (room / f"opensearch-{LINE.version}").exists()
