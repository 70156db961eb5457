"""Runs tests as a measure: what they record with `record_property` are its figures."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Case:
    """What became of a test: passed, failure, error or skipped, with why it was skipped, and what it recorded."""

    name: str
    state: str
    reason: str
    recorded: list[tuple[str, str]]


def run_tests(tests: list[str]) -> tuple[int, list[Case]]:
    """The exit code of pytest, and each test. `tests` are paths in this tree."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-o", "junit_family=xunit1", *tests]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if not report.exists():
            raise RuntimeError(f"the tests of {', '.join(tests)} did not run:\n{done.stdout}{done.stderr}")
        return done.returncode, [_case(each) for each in ElementTree.parse(report).getroot().iter("testcase")]


def _case(found: ElementTree.Element) -> Case:
    ended = next((each for each in found if each.tag in ("failure", "error", "skipped")), None)
    recorded = [(each.get("name", ""), each.get("value", "")) for each in found.iter("property")]
    state, reason = ("passed", "") if ended is None else (ended.tag, ended.get("message", ""))
    return Case(found.get("name", ""), state, reason, recorded)
