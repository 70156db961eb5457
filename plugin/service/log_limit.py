"""Protects the log from being filled from outside: limits a logger's records per minute and counts the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

MAX_RECORDS = 20
WINDOW_SECONDS = 60


class LogLimit(logging.Filter):
    """Passes `MAX_RECORDS` records in each time window; the first of the next window says how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._begun, self._passed, self._left_out = clock(), 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        if now - self._begun >= WINDOW_SECONDS:
            if self._left_out:
                record.msg = f"{record.msg} ({self._left_out} records before this one were left out)"
            self._begun, self._passed, self._left_out = now, 0, 0
        if self._passed < MAX_RECORDS:
            self._passed += 1
            return True
        self._left_out += 1
        return False


_LIMITS = {name: LogLimit() for name in ("asyncio", "uvicorn.error", "sorce.service")}


def limit_logs() -> None:
    """Limits the loggers whose records clients can cause. A second call changes nothing."""
    for name, limit in _LIMITS.items():
        logging.getLogger(name).addFilter(limit)
