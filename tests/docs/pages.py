"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROMPT = "$ "


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the number of its first line, and its text."""

    language: str
    line: int
    text: str


@dataclass(frozen=True)
class Command:
    """What a reader would run: a command of a shell, or a whole block of Python. `shown` are lines of its output."""

    language: str
    line: int
    text: str
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self) -> Iterator[Block]:
        found: list[str] | None = None
        language, first = "", 0
        for number, line in enumerate(self.text.splitlines(), 1):
            fence = re.fullmatch(r"```(\w*)", line)
            if fence and found is None:
                language, first, found = fence[1], number + 1, []
            elif fence and found is not None:
                yield Block(language, first, "\n".join(found))
                found = None
            elif found is not None:
                found.append(line)
        assert found is None, f"{self.name}: a block has no end"

    def commands(self) -> Iterator[Command]:
        for block in self.blocks():
            if block.language == "python":
                yield Command("python", block.line, block.text)
            elif block.language in ("sh", "console"):
                yield from commands(block)

    def without_blocks(self) -> str:
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)


def commands(block: Block) -> Iterator[Command]:
    """In a `console` block, lines after the prompt are commands, and the others are their output."""
    started: list[str] = []
    shown: list[str] = []
    first, done = 0, None
    for number, line in enumerate(block.text.splitlines(), block.line):
        if block.language == "console" and not line.startswith(PROMPT) and not started:
            shown.append(line)
            continue
        if not started and (not line.strip() or line.startswith("#")):
            continue
        if not started:
            first = number
        started.append(line.removeprefix(PROMPT) if block.language == "console" else line)
        if is_complete("\n".join(started)):
            if done is not None:
                yield Command("sh", done.line, done.text, tuple(shown))
            done, started, shown = Command("sh", first, "\n".join(started)), [], []
    assert not started, f"line {first}: this command has no end"
    if done is not None:
        yield Command("sh", done.line, done.text, tuple(shown))


def is_complete(text: str) -> bool:
    """Whether a shell would run it now: no open quote, no open here-document, no line that goes on."""
    if text.endswith("\\"):
        return False
    asked = subprocess.run(["bash", "-n", "-c", text + "\n"], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and not asked.stderr


def pages() -> list[Page]:
    return [Page(ROOT / "README.md"), *(Page(path) for path in sorted(DOCS.rglob("*.md")))]
