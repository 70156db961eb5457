"""The documentation is plain: short sentences, and no sentence that was hard to read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

import sorce
from sorce import cli
from tests.docs.pages import ROOT, Page, pages
from tests.docs.test_site import commands

MAX_WORDS = 30
TEXTS = [*pages(), Page(ROOT / "CHANGELOG.md")]
HARD = (
    "Up to a million regions, or with `--exact`",
    "callers move by name",
    "which is the box of no object",
    "Pictures are opened in processes apart",
)


def references() -> Iterator[tuple[str, str]]:
    """What the references are made of: the help of each command and option, and the docstring of each public name."""
    for context in commands(cli.sorce, click.Context(cli.sorce, info_name="sorce")):
        # The examples begin with the first \b.
        yield context.command_path, (context.command.help or "").split("\b")[0]
        for option in context.command.params:
            if isinstance(option, click.Option):
                yield f"{context.command_path} {option.opts[0]}", option.help or ""
    for name in sorce.__all__:
        offered = getattr(sorce, name)
        members = vars(offered) if isinstance(offered, type) else {}
        for place, each in {"": offered, **members}.items():
            if (place == "__init__" or not place.startswith("_")) and not isinstance(each, str):
                yield f"{name}.{place}".rstrip("."), getattr(each, "__doc__", None) or ""


def test_no_sentence_of_the_references_is_long() -> None:
    read = dict(references())
    assert len(read) > 500
    assert [where for where, text in read.items() for each in split(text) if is_long(each)] == []


def sentences(page: Page) -> list[str]:
    """Each cell of a table, each item of a list and each heading ends a sentence."""
    text = re.sub(r"^::: .*(\n    .*)*", "", page.without_blocks(), flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^\s*(?:[-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    return split(text)


def split(text: str) -> list[str]:
    parts = re.split(r"\n\s*\n|\||(?<=[.!?])\s|^#.*$", text, flags=re.MULTILINE)
    return [" ".join(part.split()) for part in parts if part.strip()]


def is_long(sentence: str) -> bool:
    return len(re.findall(r"[\w'-]+", sentence)) > MAX_WORDS


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_no_sentence_is_long(page: Page) -> None:
    assert [each for each in sentences(page) if is_long(each)] == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_no_hard_sentence_is_left(page: Page) -> None:
    assert [each for each in HARD if each in " ".join(page.text.split())] == []
