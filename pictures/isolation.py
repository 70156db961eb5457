"""Keeps the secrets of the process that starts decoders away from the decoders.

A picture may exploit a bug in a decoder and run code in its process. That process has the same user as the one that
started it. So Linux would let it read the other's environment and memory in /proc, which contain passwords and keys.
Three things prevent that:

1. A decoder gets only the environment variables that are named here.
2. The process that starts decoders forbids other processes of its user to read it (`hide_this_process`).
3. A decoder that runs as root gives up root's capabilities, which would bypass that (`drop_capabilities`).

What remains readable: files of the user, and other processes of the same user that are not hidden, such as the shell
that exported a password. If that matters, run the ingest as a separate user. Give the password in a file that only this
user can read (`OPENSEARCH_PASSWORD_FILE`) or, better, use a short-lived token. On systems other than Linux only the
first protection exists.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

PASSED_ON = frozenset(
    {
        "DYLD_LIBRARY_PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHOME",
        "PYTHONNOUSERSITE",
        "PYTHONPATH",
        "PYTHONPYCACHEPREFIX",
        "PYTHONUSERBASE",
        "PYTHONUTF8",
        "TMPDIR",
        "TZ",
        "VIRTUAL_ENV",
    }
)
"""Environment variables that a decoder may need to find Python and its libraries. No others are passed on."""

# From Linux's <sys/prctl.h> and <linux/capability.h>.
PR_SET_DUMPABLE = 4
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a decoder, made from that of this process."""
    given = os.environ if given is None else given
    passed_on = {name: value for name, value in given.items() if name in PASSED_ON}
    # Threads of these libraries would use memory before a picture does.
    return passed_on | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def hide_this_process() -> None:
    """Forbids other processes of the same user to read this one's environment and memory, until it ends.

    They cannot debug it either, and it leaves no core dump.
    """
    if sys.platform == "linux":
        _checked(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")


def drop_capabilities() -> None:
    """Gives up all rights that root has beyond other users. Does nothing for other users."""
    if sys.platform == "linux":
        header, none = _Header(LINUX_CAPABILITY_VERSION_3, 0), (_Data * 2)()
        _checked(ctypes.CDLL(None, use_errno=True).capset(ctypes.byref(header), none), "capset")


class _Header(ctypes.Structure):
    """`struct __user_cap_header_struct`; process 0 is the calling one."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    """`struct __user_cap_data_struct`, of which version 3 takes two."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _checked(result: int, call: str) -> None:
    # Raised and not ignored: a missing protection must not go unnoticed.
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")
