"""What `import sorce` offers."""

from __future__ import annotations

import subprocess
import sys

import sorce


def test_everything_that_is_offered_can_be_had_and_says_what_it_is() -> None:
    for name in sorce.__all__:
        assert getattr(sorce, name).__doc__


def test_every_error_is_a_sorce_error() -> None:
    errors = [getattr(sorce, name) for name in sorce.__all__ if isinstance(getattr(sorce, name), type)]
    assert all(issubclass(each, sorce.SorceError) for each in errors if issubclass(each, Exception))


def test_importing_it_is_cheap() -> None:
    script = "import sys, sorce; sys.exit(bool({'torch', 'opensearchpy', 'PIL'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
