"""Memory of pictures goes back to the system when it is freed."""

from __future__ import annotations

import ctypes
import sys

BLOCK = 1 << 20
"""Bytes. Larger blocks are given back at once when they are freed; an array of pixels is mostly larger."""

# From glibc's <malloc.h>.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def give_back_freed() -> None:
    """Without this, glibc keeps up to 64 MB of freed blocks for each of many threads. Elsewhere it does nothing."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # Once set, glibc no longer raises them with the size of what is freed.
        mallopt(M_MMAP_THRESHOLD, BLOCK)
        mallopt(M_TRIM_THRESHOLD, BLOCK)
