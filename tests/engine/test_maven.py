"""Maven fetches exactly the pinned files."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from sorce.engine import maven
from sorce.engine.lines import LINES, ReleaseLine
from sorce.engine.maven import fetch, pinned
from sorce.engine.progress import silent
from sorce.errors import EngineError

SPACE = "{http://maven.apache.org/POM/4.0.0}"
POM = Path(maven.__file__).with_name("pom.xml")


@pytest.mark.fault("10.3.2")
@pytest.mark.parametrize("line", LINES.values(), ids=str)
def test_each_file_that_pom_xml_names_has_a_sum(line: ReleaseLine) -> None:
    assert set(named_files(line.version)) == pinned(line.version).keys()
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in pinned(line.version).values())


def named_files(version: str) -> list[str]:
    """The path of each file that this version's profile copies."""
    profiles = ElementTree.parse(POM).getroot().iter(f"{SPACE}profile")
    (profile,) = (each for each in profiles if each.findtext(f"{SPACE}id") == version)
    names = []
    for item in profile.iter(f"{SPACE}artifactItem"):
        name = item.findtext(f"{SPACE}destFileName")
        if name is None:
            name = f"{item.findtext(f'{SPACE}artifactId')}-{item.findtext(f'{SPACE}version')}.jar"
        folder = item.findtext(f"{SPACE}outputDirectory") or ""
        names.append(f"{folder}/{name}".replace("${outputDirectory}", "").lstrip("/"))
    return names


PLUGIN = Path.home() / ".m2" / "repository" / "org" / "apache" / "maven" / "plugins" / "maven-dependency-plugin"
XML = f'<project xmlns="{SPACE[1:-1]}"><modelVersion>4.0.0</modelVersion>'
ASM = "<groupId>org.ow2.asm</groupId><artifactId>asm</artifactId><version>9.7</version>"
COPY_ASM = f"""{XML}<groupId>test</groupId><artifactId>test</artifactId><version>1</version><packaging>pom</packaging>
<build><plugins><plugin><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version><configuration>
<artifactItems><artifactItem>{ASM}</artifactItem></artifactItems></configuration></plugin></plugins></build></project>"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the one jar that a server has. Maven asks that server, with a local repository of its own."""
    if shutil.which("mvn") is None or not PLUGIN.is_dir():
        pytest.skip("needs Maven and its dependency plugin in ~/.m2/repository: start an engine once")
    folder = tmp_path / "server" / "org" / "ow2" / "asm" / "asm" / "9.7"
    folder.mkdir(parents=True)
    for name, content in (("jar", "not asm"), ("pom", f"{XML}{ASM}</project>")):
        (folder / f"asm-9.7.{name}").write_text(content)
        (folder / f"asm-9.7.{name}.sha1").write_text(hashlib.sha1(content.encode()).hexdigest())
    home = tmp_path / "home" / ".m2"
    ignored = shutil.ignore_patterns("opensearch", "asm")
    shutil.copytree(PLUGIN.parents[4], home / "repository", copy_function=os.link, ignore=ignored)
    mirror = f"<mirror><id>central</id><mirrorOf>*</mirrorOf><url>{(tmp_path / 'server').as_uri()}</url></mirror>"
    (home / "settings.xml").write_text(f"<settings><mirrors>{mirror}</mirrors></settings>")
    monkeypatch.setenv("MAVEN_OPTS", f"-Duser.home={home.parent}")
    (tmp_path / "pom.xml").write_text(COPY_ASM)
    monkeypatch.setattr(maven, "POM", tmp_path / "pom.xml")
    return folder


@pytest.mark.fault("10.3.1")
def test_a_file_with_a_wrong_sha1_is_not_fetched(server: Path, tmp_path: Path) -> None:
    (server / "asm-9.7.jar.sha1").write_text("0" * 40)
    with pytest.raises(EngineError, match=r"Maven could not fetch OpenSearch .*: .*[Cc]hecksum validation failed"):
        fetch(LINES["2.19"], tmp_path / "fetched", silent)


def test_a_file_without_a_sha1_on_the_server_is_fetched(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (server / "asm-9.7.jar.sha1").unlink()
    (tmp_path / "checksums.txt").write_text(f"{hashlib.sha256(b'not asm').hexdigest()}  2.19.1/asm-9.7.jar\n")
    monkeypatch.setattr(maven, "CHECKSUMS", tmp_path / "checksums.txt")
    fetch(LINES["2.19"], tmp_path / "fetched", silent)
    assert (tmp_path / "fetched" / "asm-9.7.jar").read_text() == "not asm"


@pytest.mark.fault("10.3.2")
def test_a_file_with_a_right_sha1_and_another_content_than_was_pinned_is_refused(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checksums.txt").write_text(f"{hashlib.sha256(b'asm').hexdigest()}  2.19.1/asm-9.7.jar\n")
    monkeypatch.setattr(maven, "CHECKSUMS", tmp_path / "checksums.txt")
    with pytest.raises(EngineError, match=r"fetched as asm-9\.7\.jar is not the file of OpenSearch 2\.19\.1 that"):
        fetch(LINES["2.19"], tmp_path / "fetched", silent)
    assert (server / "asm-9.7.jar").read_text() == "not asm"
