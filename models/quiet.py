"""Hides logs and warnings of other libraries from the user while sorce loads or runs a model.

What matters becomes an error of sorce. Threads share the change: the first makes it and the last undoes it. So no
thread can undo it for another, and afterwards everything is as before.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import wraps
from threading import Lock
from typing import ParamSpec, TypeVar

LIBRARIES = ("transformers", "sentence_transformers", "huggingface_hub", "torch", "torchvision")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Shared:
    """A change of global state that lasts from the first thread's entry to the last thread's exit."""

    def __init__(self, change: Callable[[], AbstractContextManager[None]]) -> None:
        self._change = change
        self._lock = Lock()
        self._users = 0
        self._current: AbstractContextManager[None] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._current is None:
                current = self._change()
                current.__enter__()
                self._current = current
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._current is not None:
                    current, self._current = self._current, None
                    current.__exit__(None, None, None)


class _WithoutLibraries(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.split(".")[0] not in LIBRARIES


@contextmanager
def _muted() -> Iterator[None]:
    """Adds a filter to each handler that could show a library's logs. Handlers, levels and `propagate` are kept."""
    without = _WithoutLibraries()
    handlers = _handlers()
    for handler in handlers:
        handler.addFilter(without)
    # Last in the list: warning filters of the user or a test come first.
    ignored = ("ignore", None, Warning, None, 0)
    is_new = ignored not in warnings.filters
    warnings.simplefilter("ignore", append=True)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(without)
        if is_new:
            with suppress(ValueError):  # Other code may have replaced the list meanwhile.
                warnings.filters.remove(ignored)  # type: ignore[attr-defined]


def _handlers() -> list[logging.Handler]:
    loggers = [logging.getLogger()]
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith(LIBRARIES) and isinstance(logger, logging.Logger):
            loggers.append(logger)
    handlers = [handler for logger in loggers for handler in logger.handlers]
    return [*handlers, logging.lastResort] if logging.lastResort else handlers


quiet = Shared(_muted)


def quietly(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The function, without logs and warnings of other libraries while it runs."""

    @wraps(function)
    def called(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with quiet():
            return function(*args, **kwargs)

    return called
