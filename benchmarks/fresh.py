"""The demo with everything cached: how long a new user waits the second time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from figures import Line, at_most


def measures() -> Iterator[Line]:
    command = [sys.executable, "-m", "demo.__main__"]
    subprocess.run(command, check=True, capture_output=True)
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    yield at_most("second `make demo`, seconds", time.monotonic() - started, 90)
