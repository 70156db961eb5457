"""What the logger `sorce` shows at the terminal of a command: warnings, and more with -v.

A program that imports sorce sees nothing of it, unless it sets up logging itself.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sorce.terminal import printable

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
"""What a command shows without -v, with -v and with -vv."""


@contextmanager
def terminal_log(name: str = "sorce", level: int = logging.INFO) -> Iterator[None]:
    """Shows the records of this logger, from this level on, on standard error, until the command ends."""
    logger = logging.getLogger(name)
    before, handler = logger.level, _Terminal()
    logger.setLevel(level)
    if not any(isinstance(each, _Terminal) for each in _reached(logger)):
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _reached(logger: logging.Logger) -> list[logging.Handler]:
    """The handlers that get a record of this logger."""
    above = _reached(logger.parent) if logger.propagate and logger.parent is not None else []
    return [*logger.handlers, *above]


class _Terminal(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the standard error of the moment, which a test or a program may replace."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """A warning as a sentence, else with its time. A record may quote what others wrote, so it is escaped."""
        text = printable(super().format(record), keep="\n")
        if record.levelno >= logging.WARNING:
            return f"{record.levelname}: {text}"
        return f"{logging.Formatter().formatTime(record)} {record.name}: {text}"
