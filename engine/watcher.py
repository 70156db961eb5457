"""Ends a temporary engine and removes its folder when the process that created it is gone.

Run as `python -m sorce.engine.watcher HOME`. Its standard input is a pipe from that process, and ends with it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sorce.engine.process import end, homes


def main() -> None:
    home = Path(sys.argv[1])
    sys.stdin.buffer.read()
    for each in homes(home):
        end(each)
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
