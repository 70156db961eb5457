"""`make faults`: runs every test of a fault on sorce 0.1.0 and on this tree. Each must fail there and pass here.

0.1.0 is checked out and installed beside this tree, and reached through `tests/faults/then.py`. Prints a line for each
number and a table of the kinds, which says how the tests fail on 0.1.0: a failed assertion proves more than a name that
0.1.0 does not have. Words after the command go to pytest, such as a file's path.

0.1.0 takes patterns for names, and would change what others have in a shared cluster. So two engines are started for
this comparison. This tree's tests come first: what 0.1.0 leaves in a cluster may disturb them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from sorce.engine import running_node

ROOT = Path(__file__).parents[2]
THEN = "607a098"
"""The commit of 0.1.0."""

LACKS = re.compile(
    r"(NotImplemented|Attribute|Import|ModuleNotFound|Name)Error"
    r"|TypeError: .*(unexpected keyword argument|positional arguments? but)"
)
"""What a test raises that uses a name or an argument which 0.1.0 does not have."""

NUMBER = re.compile(r"^\| (\d+\.[\ds.]+) \|", re.MULTILINE)
"""A number at the beginning of a table's row."""

FAILURES = {
    "asserted": "a failed assertion",
    "raised": "an error of 0.1.0",
    "lacking": "a name or an option that 0.1.0 lacks",
    "error": "an error while it is set up",
    "not collected": "a file that cannot be imported",
}
"""How a test fails on 0.1.0, by how much it proves."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="sorce-then-") as name, engines() as given:
        folder = Path(name)
        tree = folder / "tree"
        now = results(Path(sys.executable), ROOT, folder / "now.xml", given)
        git("worktree", "add", "--quiet", "--detach", str(tree), THEN)
        try:
            then = results(install(tree), tree, folder / "then.xml", given, "-p", "tests.faults.then")
        finally:
            git("worktree", "remove", "--force", str(tree))
    return show(then, now)


@contextmanager
def engines() -> Iterator[dict[str, str]]:
    """Environment variables that name an engine of each line to the tests."""
    with running_node(quick_start=True) as node, running_node(line="2.19", quick_start=True) as secured:
        yield {"SORCE_TEST_URL": node.url, "SORCE_TEST_SECURED": json.dumps(asdict(secured))}


def git(*words: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *words], check=True)


def install(tree: Path) -> Path:
    """The Python of an environment that has 0.1.0, with today's tests in its tree."""
    subprocess.run(["rm", "-rf", str(tree / "tests")], check=True)
    (tree / "tests").symlink_to(ROOT / "tests")
    python = tree / ".venv/bin/python"
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(tree / ".venv")], check=True)
    # The last two are imported by tests, and 0.1.0 did not need them.
    pins = ["--constraints", str(ROOT / "constraints.txt"), "pytest-randomly", "prometheus-client", "pycocotools"]
    subprocess.run([*uv, "pip", "install", "--python", str(python), *pins, "--editable", f"{tree}[dev]"], check=True)
    return python


def results(python: Path, tree: Path, report: Path, given: dict[str, str], *options: str) -> dict[str, list[str]]:
    """By number, what became of its tests: passed, skipped, or one of FAILURES."""
    command = [str(python), "-m", "pytest", "-q", "-m", "fault", "--continue-on-collection-errors", "-W", "ignore"]
    command += ["-o", "junit_family=xunit1", f"--junitxml={report}", "--tb=no", "-p", "no:cacheprovider", *options]
    command += sys.argv[1:] or marked()
    environment = {**os.environ, **given, "PYTHONPATH": str(tree)}
    subprocess.run(command, cwd=tree, env=environment, check=False, stdout=sys.stderr)
    found = defaultdict(list)
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        ended = next((each for each in case if each.tag in ("failure", "error", "skipped")), None)
        state = (
            "passed" if ended is None else failure(ended.get("message", "")) if ended.tag == "failure" else ended.tag
        )
        for each in case.iter("property"):
            if each.get("name") == "fault":
                found[str(each.get("value"))].append(state)
    return found


def marked() -> list[str]:
    """The files with tests of faults, or that import a marked case: the others need not be imported."""
    holders = [each for each in ROOT.glob("tests/kit/*.py") if "mark.fault(" in each.read_text()]
    signs = ["mark.fault(", *(f"tests.kit.{each.stem} import" for each in holders)]
    files = [each for each in ROOT.glob("tests/**/test_*.py") if any(sign in each.read_text() for sign in signs)]
    return [str(each.relative_to(ROOT)) for each in files]


def failure(message: str) -> str:
    """What a test's failure proves, from the first line of its message."""
    line = message.partition("\n")[0]
    if line.startswith(("assert ", "AssertionError", "Failed: ")):
        return "asserted"
    return "lacking" if LACKS.match(line) else "raised"


def show(then: dict[str, list[str]], now: dict[str, list[str]]) -> int:
    """Prints a line for each number and the table; 1 where one does not pass here, passed on 0.1.0, or is not there."""
    mended = set()
    for number in sorted(now, key=lambda each: [part.zfill(3) for part in each.split(".")]):
        before, after = then.get(number, ["not collected"]), now[number]
        if set(after) == {"passed"} and set(before) != {"passed"}:
            mended.add(number)
        states = "; ".join(f"{where}: {counts(found)}" for where, found in (("0.1.0", before), ("here", after)))
        print(f"{'ok   ' if number in mended else 'WRONG'} {number:<8} {states}")
    how = {number: proof(then.get(number, ["not collected"])) for number in now}
    print(table(mended, how))
    missing = set() if sys.argv[1:] else listed() - set(now)
    if missing:
        print(f"WRONG: no test that ran carries {', '.join(sorted(missing))}, which the lists name")
    print(f"{len(mended)} of {len(now)} numbers fail on 0.1.0 and pass here. There they fail by")
    for state, said in FAILURES.items():
        print(f"{sum(each == state for each in how.values()):>5} {said}")
    return int(mended != set(now) or bool(missing))


def listed() -> set[str]:
    """The numbers of the lists beside this file."""
    return {number for file in Path(__file__).parent.glob("*.md") for number in NUMBER.findall(file.read_text())}


def proof(states: list[str]) -> str:
    """Of the tests of a number, the failure on 0.1.0 that proves most."""
    return next((each for each in FAILURES if each in states), "passed")


def counts(states: list[str]) -> str:
    return ", ".join(f"{number} {state}" for state, number in Counter(states).items())


def table(mended: set[str], how: dict[str, str]) -> str:
    """A line for each kind: instances that the issue names, siblings (`kind.s.n`), and how they fail on 0.1.0."""
    lines = [f"{'kind':<5}{'numbered':>9}{'mended':>8}{'siblings':>10}{'mended':>8}"]
    lines[0] += "".join(f"{state:>15}" for state in FAILURES)
    for kind in sorted({int(number.split(".")[0]) for number in how}):
        each = {number for number in how if number.startswith(f"{kind}.")}
        siblings = {number for number in each if ".s." in number}
        named = each - siblings
        shown = (len(named), len(named & mended), len(siblings), len(siblings & mended))
        line = f"{kind:<5}{shown[0]:>9}{shown[1]:>8}{shown[2]:>10}{shown[3]:>8}"
        lines.append(line + "".join(f"{sum(how[number] == state for number in each):>15}" for state in FAILURES))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
