"""`make faults`: runs every test of a fault on sorce 0.1.0 and on this tree. Each must fail there and pass here.

0.1.0 is checked out and installed beside this tree, and reached through `tests/faults/then.py`. Prints a line per
number.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
THEN = "607a098"
"""The commit of 0.1.0."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="sorce-then-") as name:
        folder = Path(name)
        tree = folder / "tree"
        git("worktree", "add", "--quiet", "--detach", str(tree), THEN)
        try:
            then = results(install(tree), tree, folder / "then.xml", "-p", "tests.faults.then")
        finally:
            git("worktree", "remove", "--force", str(tree))
        now = results(Path(sys.executable), ROOT, folder / "now.xml")
    return show(then, now)


def git(*words: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *words], check=True)


def install(tree: Path) -> Path:
    """The Python of an environment that has 0.1.0, with today's tests in its tree."""
    subprocess.run(["rm", "-rf", str(tree / "tests")], check=True)
    (tree / "tests").symlink_to(ROOT / "tests")
    python = tree / ".venv/bin/python"
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(tree / ".venv")], check=True)
    pins = ["--constraints", str(ROOT / "constraints.txt"), "pytest-randomly"]
    subprocess.run([*uv, "pip", "install", "--python", str(python), *pins, "--editable", f"{tree}[dev]"], check=True)
    return python


def results(python: Path, tree: Path, report: Path, *options: str) -> dict[str, list[str]]:
    """By number, what became of its tests: passed, failed, or skipped."""
    command = [str(python), "-m", "pytest", "-q", "-m", "fault", "--continue-on-collection-errors", "-W", "ignore"]
    command += ["-o", "junit_family=xunit1", f"--junitxml={report}", "--tb=no", "-p", "no:cacheprovider", *options]
    subprocess.run(command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, check=False, stdout=sys.stderr)
    found = defaultdict(list)
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        state = next((each.tag for each in case if each.tag in ("failure", "error", "skipped")), "passed")
        for each in case.iter("property"):
            if each.get("name") == "fault":
                found[str(each.get("value"))].append("failed" if state in ("failure", "error") else state)
    return found


def show(then: dict[str, list[str]], now: dict[str, list[str]]) -> int:
    """Prints a line for each number; 1 where one does not pass here, or passed on 0.1.0."""
    wrong = 0
    for number in sorted(now, key=lambda each: [part.zfill(3) for part in each.split(".")]):
        before, after = then.get(number, ["cannot run"]), now[number]
        right = set(after) == {"passed"} and set(before) != {"passed"}
        wrong += not right
        said = {"0.1.0": before, "here": after}
        counts = "; ".join(
            f"{where}: {', '.join(f'{states.count(s)} {s}' for s in dict.fromkeys(states))}"
            for where, states in said.items()
        )
        print(f"{'ok   ' if right else 'WRONG'} {number:<8} {counts}")
    missing = len(now.keys() - then.keys())
    print(f"{len(now) - wrong} of {len(now)} numbers fail on 0.1.0 and pass here; {missing} of them cannot run there.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
