"""Tell the user what is being done, also while nothing seems to happen."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

Say = Callable[[str], None]

REPEAT = 10.0  # seconds


def silent(_: str) -> None:
    """Say nothing."""


def logged(say: Say, log: Path) -> Say:
    """Say each sentence, and also append it to this file with the time."""

    def say_and_log(sentence: str) -> None:
        say(sentence)
        line = f"{datetime.now().astimezone().isoformat(timespec='seconds')} {sentence}\n"
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600), "a") as file:
            file.write(line)

    return say_and_log


@contextmanager
def repeated(say: Say, sentence: str, every: float = REPEAT) -> Iterator[None]:
    """While the block runs, repeat this sentence every `every` seconds, with the time that has passed."""
    done = threading.Event()
    began = time.monotonic()

    def repeat() -> None:
        while not done.wait(every):
            say(f"{sentence} ({time.monotonic() - began:.0f} s so far)")

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
