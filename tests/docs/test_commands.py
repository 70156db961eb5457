"""Every command of the documentation runs, in the order of its page, as a reader would run it."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from opensearchpy import OpenSearch
from roles import owner

from sorce.cluster import connect
from sorce.engine import Node
from sorce.engine.certificates import Authority
from sorce.pictures.source import photo_id_of
from tests.docs.pages import DOCS, ROOT, Page, pages
from tests.docs.reader import Reader, found, without_secrets
from tests.docs.standins import Places, stand_ins
from tests.kit.owl import detr

FIRST = Page(DOCS / "first-steps.md")
OTHERS = [page for page in pages() if page.path != FIRST.path]
PROGRAM = re.compile(
    r"^(\$ )?(sorce|curl|make|pip|python3?|cp|mkdir|export|unset|find|printf|chmod|grep|cat|\.|\(umask) ", re.MULTILINE
)
"""How a line with a command begins. It counts the commands in another way than the reader finds them."""


@pytest.fixture(scope="module")
def reader(opensearch: str, secured: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Someone with a checkout and a folder of pictures, who has followed the first steps."""
    folder, home = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("home")
    for name in ("training", "constraints.txt", "Makefile", "pyproject.toml", ".ci"):
        (folder / name).symlink_to(ROOT / name)
    (home / "Pictures").mkdir()
    shutil.copy(ROOT / "training/scenes/bundled/0003.jpg", home / "Pictures")
    pair = Authority().issue("encoder")
    (folder / "encoder.pem").write_bytes(pair.certificate)
    (folder / "encoder.key").write_bytes(pair.key)
    assert secured.security is not None
    prefix = f"docs-{uuid.uuid4().hex[:8]}"
    detector = detr(tmp_path_factory.mktemp("detector"))
    photo = photo_id_of((folder / "photos/0004.jpg").as_uri())
    places = Places(opensearch, secured.url, str(Path(secured.security).parent), str(detector), photo, prefix)
    environment = {**without_secrets(), "HOME": str(home), "XDG_CACHE_HOME": str(home), "OPENSEARCH_URL": opensearch}
    reader = Reader(folder, environment, tuple(stand_ins(places)))
    with connect(opensearch) as client, connect(secured.url, owner(secured)) as administrator:
        try:
            yield reader
        finally:
            for each in (client, administrator):
                each.indices.delete(index=f"{prefix}-*")
            forget(administrator, prefix)
    print("\nWhat stood in for something else:")
    for what, why in reader.used.items():
        print(f"  {what}\n      {why}")


def forget(administrator: OpenSearch, prefix: str) -> None:
    """Removes the users and roles that the page about security made."""
    for kind in ("internalusers", "roles"):
        path = f"/_plugins/_security/api/{kind}"
        for name in administrator.transport.perform_request("GET", path):
            if name.startswith(prefix):
                administrator.transport.perform_request("DELETE", f"{path}/{name}")


@pytest.fixture(scope="module")
def first_steps(reader: Reader) -> int:
    return reader.follow(FIRST)


def test_the_first_steps_lead_to_a_find(first_steps: int) -> None:
    assert first_steps == number_of_commands(FIRST) > 0


@pytest.mark.long
@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_each_command_of_a_page_runs(page: Page, reader: Reader, first_steps: int) -> None:  # noqa: ARG001
    assert reader.follow(page) == number_of_commands(page)


def number_of_commands(page: Page) -> int:
    """Counted by how lines begin, so that a block which the reader overlooks is noticed."""
    inside = re.findall(r"^```(?:sh|console)\n(.*?)^```", page.text, re.MULTILINE | re.DOTALL)
    return sum(len(PROGRAM.findall(block)) for block in inside) + page.text.count("```python\n")


def test_no_command_hides_in_a_block_that_is_not_run() -> None:
    for page in pages():
        for block in page.blocks():
            place = f"{page.name}:{block.line}"
            assert block.language in ("sh", "console", "python", "json"), place
            if block.language == "json":
                json.loads(block.text)


def flags(parameter: click.Parameter) -> list[str]:
    """Its names, also those that switch it off."""
    return [*parameter.opts, *parameter.secondary_opts]


def test_each_command_named_in_a_sentence_exists() -> None:
    for page in pages():
        for named in re.findall(r"`sorce((?: [\w./:=-]+)*)`", page.without_blocks().replace("\n", " ")):
            words = named.split()
            asked = found([word for word in words if not word.startswith("-")])
            options = {option for each in asked.get_params(click.Context(asked)) for option in flags(each)}
            assert {word for word in words if word.startswith("--")} <= options, f"{page.name}: sorce{named}"
