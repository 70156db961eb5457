"""Fixtures for all tests: a real OpenSearch of each line."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from sorce.access import Access
from sorce.engine import Engine, Node, running, running_node, status
from tests.kit.place import Place

SECURED_NODE = "SORCE_TEST_SECURED_NODE"
"""How the workers of a run with several of them learn of the secured engine."""


def pytest_configure(config: pytest.Config) -> None:
    """With several workers (`-n`), the engines are started once, by the process that starts the workers."""
    if not getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput") or config.option.collectonly:
        return
    engines = ExitStack()
    config.add_cleanup(engines.close)
    if "SORCE_TEST_URL" not in os.environ:
        os.environ["SORCE_TEST_URL"] = engines.enter_context(running(quick_start=True))
    if "SORCE_TEST_SECURED" not in os.environ:
        node = engines.enter_context(running_node(line="2.19", quick_start=True))
        os.environ[SECURED_NODE] = json.dumps(asdict(node))


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
    """A real OpenSearch of the oldest line, with TLS and users; or the engine that SORCE_TEST_SECURED names."""
    shared = os.environ.get("SORCE_TEST_SECURED")
    if shared:
        node = status(Engine.named(shared))
        assert node is not None, f"start it: sorce engine start --line 2.19 --name {shared}"
        yield node
    elif SECURED_NODE in os.environ:
        yield Node(**json.loads(os.environ[SECURED_NODE]))
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


# Before xdist's own, which reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test tells the report its numbers of faults, and belongs to one worker with the others of its file.

    Tests that change settings of a whole cluster are all one worker's.
    """
    for item in items:
        parts = set(item.path.parts)
        installs = "plugin" in parts and "service" not in parts
        changes_settings = installs or item.path.name in ("test_schema1.py", "test_secured.py")
        item.add_marker(pytest.mark.xdist_group("settings" if changes_settings else item.path.stem))
        for mark in item.iter_markers("fault"):
            item.user_properties += [("fault", number) for number in mark.args]
