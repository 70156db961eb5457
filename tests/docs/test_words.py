"""The documentation is plain: short sentences, and no sentence that was hard to read."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT, Page, pages

MAX_WORDS = 30
TEXTS = [*pages(), Page(ROOT / "CHANGELOG.md")]
HARD = (
    "Up to a million regions, or with `--exact`",
    "callers move by name",
    "which is the box of no object",
    "Pictures are opened in processes apart",
)


def sentences(page: Page) -> list[str]:
    """Each cell of a table, each item of a list and each heading ends a sentence."""
    text = re.sub(r"^::: .*(\n    .*)*", "", page.without_blocks(), flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^\s*(?:[-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    parts = re.split(r"\n\s*\n|\||(?<=[.!?])\s|^#.*$", text, flags=re.MULTILINE)
    return [" ".join(part.split()) for part in parts if part.strip()]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_no_sentence_is_long(page: Page) -> None:
    long = [each for each in sentences(page) if len(re.findall(r"[\w'-]+", each)) > MAX_WORDS]
    assert long == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_no_hard_sentence_is_left(page: Page) -> None:
    assert [each for each in HARD if each in " ".join(page.text.split())] == []
