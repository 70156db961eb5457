"""The end of `make demo` on a terminal: the page, until a key is pressed."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opensearchpy import OpenSearch

from sorce.cluster import connect
from sorce.mappings.index import index_body
from sorce.models import load_model

ROOT = Path(__file__).parents[2]

# What takes minutes is left out: the engine is that of the tests, and nothing is ingested or asked.
SHORT_DEMO = """
import sys
from contextlib import contextmanager
import demo.__main__ as d
from sorce.cli import run

ENGINE, INDEX = sys.argv[1:]

@contextmanager
def there(**_):
    yield ENGINE

d.running, d.SHOWN, d.METHODS = there, INDEX, {}
d.install_for = d.show = lambda *_: None
d.ask = lambda _, about: [d.Asked(each, 1, 1, 1, True, True) for each in about]
sys.argv = sys.argv[:1]
run(d.demo, "demo")
"""


@pytest.fixture
def index(opensearch: str) -> Iterator[str]:
    name = f"test-demo-{uuid.uuid4().hex[:8]}"
    with connect(opensearch) as client:
        _create(client, name)
        yield name
        client.indices.delete(index=name)


def _create(client: OpenSearch, name: str) -> None:
    client.indices.create(index=name, body=index_body(load_model("mini", "tiles").recipe, {"number_of_replicas": 0}))


@pytest.mark.parametrize(
    "key", [pytest.param(b"\r", id="Enter"), pytest.param(b"\x03", id="Ctrl-C", marks=pytest.mark.long)]
)
def test_on_a_terminal_the_demo_shows_the_page_until_a_key_is_pressed(
    opensearch: str, index: str, tmp_path: Path, key: bytes
) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SHORT_DEMO, opensearch, index]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment, start_new_session=True
    )
    os.close(theirs)
    said = read_until(ours, "Press any key to end.")
    address = re.findall(r"Look for yourself: (http://127\.0\.0\.1:\d+/)\?q=", said)[0]
    # It answers once its first search is done.
    assert httpx.get(address, timeout=60).status_code == 200
    while termios.tcgetattr(ours)[3] & termios.ICANON:
        # What is typed before the demo reads single keys is dropped.
        os.sched_yield()
    os.write(ours, key)
    rest = read_until(ours, None)
    assert process.wait(60) == 0
    assert "nothing is left running" in rest
    os.close(ours)
    for served in re.findall(r"http://127\.0\.0\.1:\d+", said):
        with pytest.raises(httpx.ConnectError):
            httpx.get(served)


def read_until(terminal: int, words: str | None) -> str:
    """What the terminal shows up to these words, or up to its end."""
    said = ""
    while words is None or words not in said:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            # So Linux says that nobody writes any more.
            part = b""
        if not part:
            assert words is None, said
            return said
        said += part.decode(errors="replace")
    return said
