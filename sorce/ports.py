"""Free ports of this machine's loopback, for programs that must be told their port before they open it."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

_HOST = "127.0.0.1"
_FIRST, _USUAL_END = 10_000, 32_768
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Different ports that nobody uses now.

    They lie below those that the system itself hands out: such a port may be somebody else's by the time it is opened.
    """
    end = _USUAL_END
    with suppress(OSError):
        end = int(_RANGE.read_text().split()[0])
    with ExitStack() as stack:
        held: list[int] = []
        while len(held) < count:
            port = random.randrange(_FIRST, max(end, _USUAL_END // 2))
            # Held until all are found, so that none is taken twice.
            with suppress(OSError):
                stack.enter_context(socket.create_server((_HOST, port)))
                held.append(port)
    return held
