"""Which weights a checkpoint lacked. transformers fills them with random numbers and only logs it.

`from_pretrained` says so to a caller that asks with `output_loading_info=True`. sentence-transformers is the caller
when it loads a model, and does not pass the answer on. So `from_pretrained` is wrapped once: inside of `recorded()` it
is always asked, and elsewhere it does what it did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from transformers import PreTrainedModel

_recording: ContextVar[list[str] | None] = ContextVar("sorce_missing_weights", default=None)
_class: Any = PreTrainedModel
_original = _class.from_pretrained.__func__


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The names of weights that checkpoints loaded by this thread lack; complete at the end of the block."""
    missing: list[str] = []
    token = _recording.set(missing)
    try:
        yield missing
    finally:
        _recording.reset(token)


def _from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
    missing = _recording.get()
    if missing is None:
        return _original(cls, *args, **kwargs)
    wants_info = kwargs.pop("output_loading_info", False)
    network, info = _original(cls, *args, **kwargs, output_loading_info=True)
    missing.extend(sorted(info["missing_keys"]))
    return (network, info) if wants_info else network


_class.from_pretrained = classmethod(_from_pretrained)
