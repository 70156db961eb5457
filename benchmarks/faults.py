"""Damage done to ingests by the tests that do it, counted by kind: each leaves nothing lost and nothing doubled."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from figures import Line, exactly

ROOT = Path(__file__).parents[1]
TESTS = ("test_killed.py", "test_faults.py", "test_pictures.py", "test_move.py")


def measures() -> Iterator[Line]:
    """What the tests put down as done; they assert what came of it."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-o", "junit_family=xunit1"]
        tests = [str(ROOT / "tests/ingest" / test) for test in TESTS]
        subprocess.run([*command, *tests], cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        suite = ElementTree.parse(report).getroot()
    cases = list(suite.iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    names = ", ".join(case.get("name", "") for case in failed)
    yield exactly("tests of ingest that found anything lost or doubled", len(failed), 0, names)
    yield from counted(case for case in cases if case not in failed)


def counted(cases: Iterator[ElementTree.Element]) -> Iterator[Line]:
    """The properties of those that passed, those of the same name added up."""
    sums: Counter[str] = Counter()
    pictures: dict[str, list[str]] = {}
    for each in (one for case in cases for one in case.iter("property")):
        name, value = each.get("name", ""), each.get("value", "")
        if value.isdigit():
            sums[name] += int(value)
        else:
            pictures.setdefault(name, []).append(value)
    for name, number in sorted(sums.items()):
        yield Line(name, number, note="nothing lost, nothing doubled")
    for name, kinds in sorted(pictures.items()):
        yield Line(f"{name}, kinds", len(kinds), note="; ".join(kinds))
