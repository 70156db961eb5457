"""Records which weights a checkpoint lacked. transformers fills them with random numbers and only logs it.

`from_pretrained` returns the missing weights if called with `output_loading_info=True`. When sentence-transformers
loads a model, it makes this call and does not pass the result on. So `from_pretrained` is wrapped once. Inside
`recorded()` the wrapper always requests the information; elsewhere nothing changes.
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
    """The names of weights missing from checkpoints that this thread loads; complete at the end of the block."""
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
