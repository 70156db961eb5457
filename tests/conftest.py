"""What all tests share: a real OpenSearch of each line."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sorce.access import Access
from sorce.engine import Engine, Node, running, running_node, status
from tests.kit.place import Place

pytest_plugins = ["tests.kit.indexed"]


@pytest.fixture(scope="session")
def opensearch() -> Iterator[str]:
    """The URL of a real OpenSearch, started for this run; or the one that SORCE_TEST_URL names, which stays."""
    shared = os.environ.get("SORCE_TEST_URL")
    if shared:
        yield shared.rstrip("/")
    else:
        with running(quick_start=True) as url:
            yield url


@pytest.fixture(scope="session")
def secured() -> Iterator[Node]:
    """A real OpenSearch of the oldest line, with TLS and users; or the engine that SORCE_TEST_SECURED names.

    That is an engine's name, or a node in JSON (`tests/faults/compare.py`).
    """
    shared = os.environ.get("SORCE_TEST_SECURED", "")
    if shared.startswith("{"):
        yield Node(**json.loads(shared))
    elif shared:
        node = status(Engine.named(shared))
        assert node is not None, f"start it: sorce engine start --line 2.19 --name {shared}"
        yield node
    else:
        with running_node(line="2.19", quick_start=True) as node:
            yield node


@pytest.fixture(scope="session", params=["3.6", "2.19"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each line in turn: open, and secured, as its administrator."""
    if request.param == "3.6":
        url: str = request.getfixturevalue("opensearch")
        return Place(url, Access(), {"OPENSEARCH_URL": url})
    node: Node = request.getfixturevalue("secured")
    given = node.environment
    password = Path(given["OPENSEARCH_PASSWORD_FILE"]).read_text()
    access = Access(given["OPENSEARCH_CA_FILE"], username=given["OPENSEARCH_USERNAME"], password=password)
    return Place(node.url, access, given)


def pytest_itemcollected(item: pytest.Item) -> None:
    """With `--dist loadgroup`, one worker runs all tests of a line, so that each engine is started once.

    Other tests stay together by file, with what the file sets up.
    """
    item.add_marker(pytest.mark.xdist_group(_line(item) or item.nodeid.partition("::")[0]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stops a worker whose tests are not grouped: pytest-xdist 3.8 loses all groups with pytest 9.2, and says nothing.

    Then each worker starts both engines, and sets up what a file shares once more (pytest-xdist issue 1386).
    """
    if session.config.getoption("loadgroup", False) and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not group the tests with this pytest; install pytest below 9.2.")


def _line(item: pytest.Item) -> str | None:
    """The line of OpenSearch that a test needs; None for a test without one."""
    given = getattr(item, "callspec", None)
    if given is not None and "place" in given.params:
        return str(given.params["place"])
    needed: list[str] = getattr(item, "fixturenames", [])
    if "opensearch" in needed:
        return "3.6"
    return "2.19" if "secured" in needed else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test tells the report its numbers of faults."""
    for item in items:
        for mark in item.iter_markers("fault"):
            item.user_properties += [("fault", number) for number in mark.args]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the seed of the order at the end: with -q, pytest-randomly does not."""
    seed = config.getoption("randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"This order again: pytest --randomly-seed={seed}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Names what failed in the last lines: of a long log, only these may be kept."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for report in (*reporter.stats.get("failed", ()), *reporter.stats.get("error", ())):
            crash = getattr(report.longrepr, "reprcrash", None)
            print(f"failed: {report.nodeid}: {crash.message if crash else report.longreprtext}"[:1000])
