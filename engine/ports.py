"""Ports on this machine's loopback interface."""

from __future__ import annotations

import socket
import time

CLOSE_LIMIT = 60.0  # seconds


def is_busy(port: int) -> bool:
    """Whether a program answers at this port."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def wait_until_closed(port: int) -> None:
    """Wait for the port of an ended process: the system closes it when the last thread has ended."""
    deadline = time.monotonic() + CLOSE_LIMIT
    while is_busy(port) and time.monotonic() < deadline:
        time.sleep(0.1)
