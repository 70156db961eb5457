"""Rules for the whole tree: sizes, names, and that nothing is missing in the wheel or in the lists."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
ROOMS = ("dashboards", "engine", "evaluate", "ingest", "locate", "mappings", "models", "pictures", "plugin", "sorce")
MAX_LINES, MAX_LONG_FILES, MAX_LINES_OF_A_FUNCTION = 300, 3, 45


def files(*folders: str, kind: str = "py") -> list[Path]:
    listed = subprocess.run(
        [
            "git",
            "-C",
            str(ROOT),
            "ls-files",
            "-co",
            "--exclude-standard",
            "--",
            *(f"{each}/*.{kind}" for each in folders),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in (ROOT / line for line in listed.stdout.splitlines()) if path.is_file()]


def nodes(*folders: str) -> Iterator[tuple[Path, ast.AST]]:
    for file in files(*folders):
        yield from ((file, node) for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def test_every_room_is_a_package_of_sorce() -> None:
    for room in ROOMS[:-1]:
        assert (ROOT / "sorce" / room).readlink() == Path("..") / room
        assert (ROOT / room / "__init__.py").is_file()


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for file, node in nodes(*ROOMS):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            places[node.name].append(str(file.relative_to(ROOT)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_file_is_read_in_one_sitting() -> None:
    folders = (*ROOMS, "benchmarks", "demo", "training")
    own = [file for kind in ("py", "js", "css") for file in files(*folders, kind=kind) if "vendor" not in file.parts]
    long = [str(file) for file in own if lines(file) > MAX_LINES]
    assert len(long) <= MAX_LONG_FILES, long


def lines(file: Path) -> int:
    return file.read_text(encoding="utf-8").count("\n")


def test_a_function_is_seen_on_one_screen() -> None:
    long = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file, node in nodes(*ROOMS, "benchmarks", "demo", "training")
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "grep", "-InE", r"(files\.pytho" + r"nhosted|pypi\.or" + "g/simple)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.stdout == ""


def test_each_number_of_a_fault_has_a_test_and_each_test_a_number() -> None:
    listed = set()
    for file in (ROOT / "tests/faults").glob("*.md"):
        listed |= set(re.findall(r"^\| *(\d+\.(?:\d+|s)\.\d+) *\|", file.read_text(encoding="utf-8"), re.MULTILINE))
    marked = set()
    for _, node in nodes("tests"):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.fault"):
            marked |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    assert listed == marked


def test_constraints_are_names_and_versions() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]:
        assert re.fullmatch(r'[a-z0-9-]+==[\w.+!]+( ; python_version == "3\.\d+")?', line)


def test_every_library_has_a_tested_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    libraries = {re.split(r"[\[<>=]", each)[0].lower() for each in named} - {"sorce"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert libraries - {line.partition("==")[0] for line in lines} == set()


def test_every_tested_version_runs_on_the_oldest_python() -> None:
    # Debian 12 has Python 3.11.2, and a library asked for 3.11.5.
    oldest = f"{sys.version_info.major}.{sys.version_info.minor}.0"
    asked = {each.name: SpecifierSet(each.metadata.get("Requires-Python") or "") for each in distributions()}
    assert [name for name, versions in asked.items() if oldest not in versions] == []


def test_the_readme_names_the_command_that_brings_the_versions_up_to_date() -> None:
    assert "`make constraints`" in (ROOT / "README.md").read_text(encoding="utf-8")
