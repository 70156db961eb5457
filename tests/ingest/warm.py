"""`sorce ingest` with `mini`, imported and loaded once. `run ARGUMENTS` (JSON) forks one; `wait PID` prints its end.

Each ingest is a process of its own that can be killed, but the seconds of importing torch are needed only once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from sorce import cli
from sorce.ingest import pipeline, request
from sorce.ingest.write import Sender, Sent, Writer
from sorce.models import load_model

IN_A_REQUEST = 50_000
"""Bytes. A thousand photos become many requests, so that one is under way at most moments."""


def writer(sender: Sender, on_sent: Callable[[Sent], None]) -> Writer:
    return Writer(sender, on_sent, most_bytes=IN_A_REQUEST)


def forked(arguments: list[str]) -> int:
    process = os.fork()
    if process == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        sys.argv[1:] = arguments
        try:
            cli.ingest()
        except SystemExit as end:
            os._exit(int(end.code or 0))
        finally:
            os._exit(99)
    return process


if __name__ == "__main__":
    model = load_model("mini", "whole", {}, "cpu", 64)
    request.load_model = lambda *_: model
    pipeline.Writer = writer  # type: ignore[misc, assignment]
    print("ready", flush=True)
    for line in sys.stdin:
        word, _, rest = line.partition(" ")
        if word == "run":
            print(forked(json.loads(rest)), flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(int(rest), 0)[1]), flush=True)
