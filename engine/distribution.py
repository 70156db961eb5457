"""OpenSearch with its plugins, fetched by Maven and unpacked once; `pom.xml` names every artifact."""

import os
import re
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

from sorce.engine.java import Java
from sorce.engine.lines import Module, ReleaseLine
from sorce.engine.paths import Account, locked, temporary_folder
from sorce.errors import EngineError, MissingTool


def distribution(line: ReleaseLine, cache: Path, java: Java, say: Callable[[str], None]) -> Path:
    """The folder of the unpacked OpenSearch, made on the first call; nothing is ever written to it afterwards."""
    home = cache / f"opensearch-{line.version}"
    if not home.is_dir():
        with locked(cache / "lock"):
            # Another process may have made it while this one waited.
            if not home.is_dir():
                _make(line, home, java, say)
    account = Account.current()
    if not account.can("r", home / "bin" / "opensearch"):
        raise EngineError(
            f"user '{account.name}', as whom OpenSearch runs, cannot read {home}: remove it and try again"
        )
    return home


def _make(line: ReleaseLine, home: Path, java: Java, say: Callable[[str], None]) -> None:
    for leftover in home.parent.glob(".unpacking-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with temporary_folder(".unpacking-", home.parent) as room:
        say(f"Fetching {line} and its plugins ({line.megabytes} MB, once) ...")
        _fetch(line, room / "zips")
        say("Unpacking, and installing the plugins ...")
        _unpack(room / "zips" / "opensearch.zip", room)
        (unpacked,) = room.glob("opensearch-*")
        for module in line.modules:
            _put_together(module, line, room / "zips" / "modules" / module.name, unpacked / "modules" / module.name)
        _install(unpacked, sorted((room / "zips").glob("[0-9]*.zip")), java)
        for path in (unpacked, *unpacked.rglob("*")):
            mode = path.stat().st_mode
            # Readable for the user that runs it, whatever the umask.
            path.chmod(mode | (0o555 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o444))
        # Last, and in one step: a copy that is there is a whole one.
        unpacked.rename(home)


def _fetch(line: ReleaseLine, folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise MissingTool(
            "Maven is needed once, to fetch OpenSearch: install it (`apt install maven`, `brew install maven`)"
        )
    pom = Path(__file__).with_name("pom.xml")
    command = ["mvn", "--batch-mode", "--quiet", "--file", str(pom), "--activate-profiles", line.version]
    command += ["dependency:copy", f"-DoutputDirectory={folder}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        said = answer.stdout + answer.stderr
        error = re.search(r"\[ERROR\]\W*(.+?)(?: -> \[Help.*)?$", said, re.MULTILINE)
        reason = error[1] if error else said.strip()[-300:]
        raise EngineError(f"Maven could not fetch OpenSearch (check the network, then try again): {reason}")


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            path = Path(file.extract(entry, folder))
            # zipfile leaves out the permissions, and bin/ needs them.
            if not entry.is_dir() and (mode := entry.external_attr >> 16 & 0o777):
                path.chmod(mode)


def _put_together(module: Module, line: ReleaseLine, jars: Path, home: Path) -> None:
    """A module as the full distribution has it: its jars, its description, and what its code may do."""
    shutil.copytree(jars, home)
    description = {
        "name": module.name,
        "description": f"{module.name} of {line}",
        "version": line.version,
        "opensearch.version": line.version,
        "java.version": str(line.java.start),
        "classname": module.classname,
        "custom.foldername": "",
        "extended.plugins": "",
        "has.native.controller": "false",
    }
    lines = (f"{key}={value}\n" for key, value in description.items())
    (home / "plugin-descriptor.properties").write_text("".join(lines))
    if module.permissions:
        granted = (f'  permission java.lang.RuntimePermission "{name}";\n' for name in module.permissions)
        (home / "plugin-security.policy").write_text("grant {\n" + "".join(granted) + "};\n")


def _install(home: Path, plugins: list[Path], java: Java) -> None:
    # All in one go: each start of the tool is a start of Java.
    command = [str(home / "bin" / "opensearch-plugin"), "install", "--batch", *(plugin.as_uri() for plugin in plugins)]
    environment = os.environ | {"OPENSEARCH_JAVA_HOME": str(java.home), "OPENSEARCH_HOME": str(home)}
    environment.pop("OPENSEARCH_PATH_CONF", None)
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise EngineError(f"OpenSearch's plugins cannot be installed in {home}: {answer.stderr.strip()[-300:]}")
