"""Counts by kind the faults that the tests cause during ingests. After each fault nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from figures import Line, at_least, exactly
from tested import Case, run_tests

FOLDER = "tests/ingest"
TESTS = ("test_killed.py", "test_faults.py", "test_pictures.py", "test_alias.py")

KILLS, PICTURES = 20, 40
"""The least numbers that must be tried."""

REQUESTS = ("408", "429", "500", "502", "503", "504", "401", "403", "413 where large", "504 though written")
CONNECTIONS = ("dropped before", "dropped after", "dropped half way", "half an answer", "a web page", "late", "slow")
ITEMS = ("item 400", "item 409", "item 422", "item 429", "item 502", "item 503", "item 504")
FAULTS = (
    *(f"fault {kind}" for kind in (*REQUESTS, *CONNECTIONS, *ITEMS, "read-only index")),
    *("engine restarts", "ingests at once", "searches during a switch"),
)


def measures() -> Iterator[Line]:
    """Counts the faults that the tests record. The tests themselves assert that nothing was lost."""
    code, cases = run_tests([f"{FOLDER}/{test}" for test in TESTS])
    bad = [case for case in cases if case.state in ("failure", "error")]
    yield exactly("exit code of the tests of ingest", code, 0)
    yield exactly(
        "tests of ingest that found anything lost or doubled",
        len(bad),
        0,
        ", ".join(case.name for case in bad),
    )
    yield from counted(case for case in cases if case not in bad)


def counted(cases: Iterator[Case]) -> Iterator[Line]:
    """The properties of the tests that passed. Values of the same name are added up."""
    sums: Counter[str] = Counter()
    pictures: dict[str, list[str]] = {}
    for name, value in (one for case in cases for one in case.recorded):
        if value.isdigit():
            sums[name] += int(value)
        elif name != "fault":
            # That is a number of `tests/faults`.
            pictures.setdefault(name, []).append(value)
    yield exactly("kills survived", sums.pop("kills survived", 0), KILLS)
    for name in FAULTS:
        yield at_least(name, sums.pop(name, 0), 1, "nothing lost, nothing doubled")
    for name, number in sorted(sums.items()):
        yield Line(name, number, note="nothing lost, nothing doubled")
    for name, kinds in sorted(pictures.items()):
        yield Line(f"{name}, kinds", len(kinds), note="; ".join(kinds))
    yield at_least("kinds of bad pictures", len(set().union(*pictures.values())), PICTURES)
