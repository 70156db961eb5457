"""The documentation as a site: it builds, its links lead somewhere, and its references are complete."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

import sorce
from sorce import cli
from tests.docs.pages import DOCS, ROOT, Page, pages


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as by `make docs`: a broken link or anchor inside it is an error."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def commands(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, click.Context(found, info_name=name, parent=context))


def test_every_option_of_every_command_is_in_the_reference(site: Path) -> None:
    # Every section, not only the page: another command may have an option of the same name.
    sections = re.split(r'<h\d id="', (site / "reference/commands.html").read_text(encoding="utf-8"))
    by_id = {section.split('"')[0]: html.unescape(re.sub(r"<[^>]+>", "", section)) for section in sections[1:]}
    missing = [
        f"{context.command_path} {option}"
        for context in commands(cli.sorce, click.Context(cli.sorce, info_name="sorce"))
        for parameter in context.command.get_params(context)
        if isinstance(parameter, click.Option) and not parameter.hidden and "--help" not in parameter.opts
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option not in by_id.get(context.command_path.replace(" ", "-"), "")
    ]
    assert missing == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    ids = set(re.findall(r'<h\d id="sorce\.([\w.]+)"', (site / "reference/python.html").read_text(encoding="utf-8")))
    missing = {name for name in sorce.__all__ if name not in ids}
    for name in sorce.__all__:
        kind = getattr(sorce, name)
        if isinstance(kind, type):
            missing |= {f"{name}.{member}" for member in vars(kind) if is_method(kind, member)} - ids
    assert missing == set()


def is_method(kind: type, member: str) -> bool:
    value = vars(kind)[member]
    return not member.startswith("_") and (callable(value) or isinstance(value, property | classmethod))


def test_the_site_asks_no_other_server(site: Path) -> None:
    loaded = [
        address
        for page in site.rglob("*.html")
        for address in re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(https?://[^"]*)"', page.read_text())
    ]
    assert loaded == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Page) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.without_blocks()):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", target
            assert re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", parts.netloc), target
            continue
        file = page.path if not parts.path else (page.path.parent / parts.path).resolve()
        assert file.exists(), f"{page.name}: {target}"
        # MkDocs checks anchors inside docs/; these are the ones from outside, such as README.md.
        if parts.fragment and DOCS not in page.path.parents:
            assert parts.fragment in anchors(file), f"{page.name}: {target}"


def anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
