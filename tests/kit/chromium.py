"""Debian's Chromium, driven by Playwright, for the tests that `make test-browser` runs.

`.ci/browser` installs it (as root), and what the tests need from npm. Without these the tests are skipped, with the
reason; with SORCE_BROWSER=1, as `make test-browser` sets it, they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"
FROM_NPM = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sorce-browser/node_modules"
VEGA = FROM_NPM / "vega/build/vega.min.js"
INTERPRETER = FROM_NPM / "vega-interpreter/build/vega-interpreter.min.js"
AXE = FROM_NPM / "axe-core/axe.min.js"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def browser_marks(**from_npm: Path) -> list[pytest.MarkDecorator]:
    """For a module whose tests need Chromium and these files, by the names of their packages."""
    there = {
        "the package playwright": find_spec("playwright") is not None,
        CHROMIUM: Path(CHROMIUM).exists(),
        **{f"{name} from npm": file.exists() for name, file in from_npm.items()},
    }
    missing = ", ".join(f"no {what}" for what, is_there in there.items() if not is_there)
    if missing and os.environ.get("SORCE_BROWSER"):
        raise RuntimeError(f"{missing}: run .ci/browser as root")
    reason = f"{missing}: run `make test-browser`"
    return [pytest.mark.long, pytest.mark.browser, pytest.mark.skipif(bool(missing), reason=reason)]


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as played:
        started = played.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()
