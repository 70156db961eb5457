"""Download OpenSearch with Maven and verify it. `pom.xml` names every file, `checksums.txt` its SHA-256."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from sorce.engine.environment import maven_environment
from sorce.engine.lines import ReleaseLine
from sorce.engine.progress import Say, repeated
from sorce.errors import EngineError, MissingTool

POM = Path(__file__).with_name("pom.xml")
CHECKSUMS = Path(__file__).with_name("checksums.txt")


def fetch(line: ReleaseLine, folder: Path, say: Say) -> None:
    """Download the line's files to this folder.

    Raises MissingTool without Maven, and EngineError if Maven fails or a file is not the pinned one.
    """
    if shutil.which("mvn") is None:
        raise MissingTool(
            "Maven is needed once, to fetch OpenSearch: install it (`apt install maven`, `brew install maven`)"
        )
    command = ["mvn", "--batch-mode", "--quiet", "--file", str(POM)]
    command += ["--activate-profiles", line.version, "dependency:copy", f"-DoutputDirectory={folder}"]
    with repeated(say, f"Maven is fetching {line}"):
        code, printed = _run([*command, "--strict-checksums"])
        # Some servers have no checksum for some files. The pinned SHA-256 below decides for each file of OpenSearch.
        if code != 0 and "no checksums available" in printed:
            code, printed = _run(command)
    if code != 0:
        error = re.search(r"\[ERROR\]\W*(.+?)(?: -> \[Help.*)?$", printed, re.MULTILINE)
        reason = error[1] if error else printed.strip()[-300:]
        raise EngineError(f"Maven could not fetch OpenSearch (check the network, then try again): {reason}")
    say(f"Checking the SHA-256 of {line} ...")
    verify(line, folder)


def _run(command: list[str]) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=maven_environment())
    return answer.returncode, answer.stdout + answer.stderr


def verify(line: ReleaseLine, folder: Path) -> None:
    """Raise EngineError unless the folder holds exactly the pinned files.

    Maven itself only compares a file with the SHA-1 from the same server, if there is one, and does not check files in
    the local repository again.
    """
    expected = pinned(line.version)
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    if different := sorted(expected.keys() ^ found.keys()):
        raise EngineError(f"Maven fetched other files than pom.xml names ({', '.join(different)}): try again")
    for name, path in found.items():
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected[name]:
                raise EngineError(
                    f"what Maven fetched as {name} is not the file of {line} that sorce was tested with: remove it "
                    "from Maven's local repository (~/.m2/repository) and try again; if that does not help, do not "
                    "trust the server that it came from"
                )


def pinned(version: str) -> dict[str, str]:
    """The SHA-256 of each file of this version, by its path in the folder that Maven copies to."""
    lines = (line.split() for line in CHECKSUMS.read_text().splitlines())
    return {path.partition("/")[2]: digest for digest, path in lines if path.startswith(f"{version}/")}
