"""OpenSearch with its plugins, downloaded and unpacked once. All engines of a release line run from the same folder."""

from __future__ import annotations

import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

from sorce.engine.environment import common_environment
from sorce.engine.files import locked
from sorce.engine.java import Java
from sorce.engine.lines import Module, ReleaseLine
from sorce.engine.maven import fetch
from sorce.engine.paths import Account, temporary_folder
from sorce.engine.progress import Say
from sorce.errors import EngineError


def distribution(line: ReleaseLine, cache: Path, java: Java, say: Say) -> Path:
    """The folder of the unpacked OpenSearch. The first call creates it; later nothing is written to it."""
    home = cache / f"opensearch-{line.version}"
    if not home.is_dir():
        with locked(cache / "lock", lambda: say("Another process prepares OpenSearch: waiting for it ...")):
            # Another process may have created it meanwhile.
            if not home.is_dir():
                _make(line, home, java, say)
    account = Account.current()
    if not account.can("r", home / "bin" / "opensearch"):
        raise EngineError(f"OpenSearch runs as user '{account.name}', who cannot read {home}: remove it and try again")
    return home


def _make(line: ReleaseLine, home: Path, java: Java, say: Say) -> None:
    for leftover in home.parent.glob(".unpacking-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with temporary_folder(".unpacking-", home.parent) as folder:
        say(f"Fetching {line} and its plugins ({line.megabytes} MB, once) ...")
        fetched = folder / "fetched"
        fetch(line, fetched, say)
        say("Unpacking OpenSearch and installing the plugins ...")
        _unpack(fetched / "opensearch.zip", folder)
        (unpacked,) = folder.glob("opensearch-*")
        for module in line.modules:
            _build_module(module, line, fetched / "modules" / module.name, unpacked / "modules" / module.name)
        _install(unpacked, sorted(fetched.glob("[0-9]*.zip")), java)
        for path in (unpacked, *unpacked.rglob("*")):
            mode = path.stat().st_mode
            # OpenSearch's user must be able to read it, whatever the umask.
            path.chmod(mode | (0o555 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o444))
        # Last and in one step: if the folder exists, it is complete.
        unpacked.rename(home)


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            path = Path(file.extract(entry, folder))
            # zipfile does not restore permissions, and the scripts in bin/ need them.
            if not entry.is_dir() and (mode := entry.external_attr >> 16 & 0o777):
                path.chmod(mode)


def _build_module(module: Module, line: ReleaseLine, jars: Path, home: Path) -> None:
    """Create a module as in the full distribution: its jars, its description and the permissions of its code."""
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
    # One call for all plugins: each call starts Java.
    command = [str(home / "bin" / "opensearch-plugin"), "install", "--batch", *(plugin.as_uri() for plugin in plugins)]
    environment = common_environment() | {"OPENSEARCH_JAVA_HOME": str(java.home), "OPENSEARCH_HOME": str(home)}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise EngineError(f"OpenSearch's plugins cannot be installed in {home}: {answer.stderr.strip()[-300:]}")
