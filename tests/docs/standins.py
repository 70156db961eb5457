"""What takes the place of a command's parts that cannot run in a test: another address, another name, another model.

Each row is a pattern, what takes its place, and why. The test prints every row that it used, so nothing is skipped in
silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

INDICES = "photos|pictures|shelves-1a2b3c4d|shelves|mounted|large|things"
QUIET = "curl --fail-with-body -sS"


@dataclass(frozen=True)
class StandIn:
    pattern: str
    replacement: str
    why: str

    def applied(self, text: str) -> str:
        return re.sub(self.pattern, self.replacement, text)


@dataclass(frozen=True)
class Places:
    """Where a test runs: both engines, a detector, the id of a photo, and the prefix of all names that it makes."""

    url: str
    secured: str
    folder: str
    detector: str
    photo: str
    prefix: str


def stand_ins(places: Places) -> Sequence[StandIn]:
    open_address = places.url.removeprefix("http://")
    unique = "the engine is shared with other tests"
    port = "a free port"
    hub = "the hub cannot be reached from a test"
    quick = "the same command with less work"
    return (
        StandIn(r"\blocalhost:9200\b", open_address, port),
        StandIn(r"https://127\.0\.0\.1:9201", places.secured, port),
        StandIn(r"~/\.cache/sorce/nodes/secured", places.folder, "a secured engine runs already"),
        StandIn(r"^sorce search (?!.*--index)", "sorce search --index photos ", "the default name is shared"),
        StandIn(rf"(sorce index (?:info|delete) )({INDICES})\b", rf"\1{places.prefix}-\2", unique),
        StandIn("1a2b3c4d5e6f708192a3b4c5d6e7f809", places.photo, "ids depend on the path"),
        StandIn("1a2b3c4d/7", f"{places.photo}/85", "ids depend on the path"),
        StandIn(rf"(--(?:index|alias) )({INDICES})\b(?!-)", rf"\1{places.prefix}-\2", unique),
        StandIn(
            rf"(localhost:\d+|{re.escape(open_address)})/((?:_cat/indices/)?)({INDICES})\b",
            rf"\1/\2{places.prefix}-\3",
            unique,
        ),
        StandIn(rf"(\$OPENSEARCH_URL)/({INDICES})\b", rf"\1/{places.prefix}-\2", unique),
        StandIn(rf"sorce-({INDICES})\b", rf"sorce-{places.prefix}-\1", unique),
        StandIn(r'(open_index(?:_async)?)\("photos"', rf'\1("{places.prefix}-photos"', unique),
        StandIn(r"roles/sorce-(ingest|search)", rf"roles/{places.prefix}-\1", unique),
        StandIn(r'"sorce-(ingest|search)"', rf'"{places.prefix}-\1"', unique),
        StandIn(r"\b(bob|ann)\b", rf"{places.prefix}-\1", unique),
        StandIn(r"(sorce ingest --index \S*pictures) ", r"\1 --model mini ", hub),
        StandIn(r"(sorce ingest --index \S*(?:mounted|large)) ", r"\1 --regions whole ", quick),
        StandIn(r"(sorce ingest --alias \S+ --model mini) (?!--regions)", r"\1 --regions whole ", quick),
        StandIn(
            r"(sorce ingest --index \S*things --regions objects) ",
            rf"\1 --model mini --parameter detector={places.detector} --limit 1 ",
            f"{hub}: a detector with random weights",
        ),
        StandIn(r"^python3 -m venv ", "python3 -m venv --without-pip ", quick),
        StandIn(r"^make ", "make --dry-run ", "it runs for minutes, and CI runs it"),
        StandIn(r"\bcurl -s ", f"{QUIET} ", "an HTTP error fails the test"),
        StandIn(r"--host 0\.0\.0\.0", "--host 127.0.0.1", "a test listens on this machine only"),
    )
