"""Limits a server's open connections: a new one replaces the one that was idle longest.

uvicorn's own `limit_concurrency` refuses requests but keeps their connections open. And when file descriptors run out,
asyncio logs a traceback for each waiting connection. So connections are counted when they are accepted, before the TLS
handshake.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Collection
from typing import Any

from sorce.plugin.service.header_timeout import HeaderTimeout

MAX_CONNECTIONS = 512
HANDSHAKE_SECONDS = 10


def max_connections() -> int:
    """At most half of this process's file descriptors; the model and the log need some, too."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if descriptors == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, descriptors // 2)


class Connection(socket.socket):
    """An accepted connection."""

    def __init__(self, accepted: socket.socket, room: Connections) -> None:
        super().__init__(fileno=accepted.detach())
        self._room = room
        self.accepted_at = asyncio.get_running_loop().time()

    def close(self) -> None:
        self._room.forget(self)
        super().close()


class Connections:
    """The open connections of a server. `protocols` are uvicorn's, for connections whose TLS handshake is complete."""

    def __init__(self, limit: int, protocols: Collection[Any]) -> None:
        self._limit = limit
        self._protocols = protocols
        self._open: dict[int, Connection] = {}
        self._leaving: set[int] = set()

    @property
    def is_full(self) -> bool:
        return len(self._open) >= self._limit

    def take(self, accepted: socket.socket) -> Connection:
        connection = Connection(accepted, self)
        self._open[connection.fileno()] = connection
        asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, self._refuse_late, connection)
        return connection

    def forget(self, connection: Connection) -> None:
        self._open.pop(connection.fileno(), None)
        self._leaving.discard(connection.fileno())

    def make_room(self) -> bool:
        """Closes one connection that is not in use; False if all are. It is gone after the event loop's next turn."""
        if self._leaving:
            return True
        ready = self._ready()
        waits = {
            number: ready[number].last_used if number in ready else connection.accepted_at
            for number, connection in self._open.items()
            if number not in ready or not ready[number].is_in_work
        }
        if not waits:
            return False
        number = min(waits, key=lambda number: waits[number])
        self._leaving.add(number)
        if number in ready:
            ready[number].transport.abort()
        else:
            _hang_up(self._open[number])
        return True

    def _ready(self) -> dict[int, HeaderTimeout]:
        sockets = ((each.transport.get_extra_info("socket"), each) for each in self._protocols)
        # A TLS transport that is closing no longer has a socket.
        return {found.fileno(): each for found, each in sockets if found is not None}

    def _refuse_late(self, connection: Connection) -> None:
        if connection.fileno() >= 0 and connection.fileno() not in self._ready():
            _hang_up(connection)


class LimitedSocket(socket.socket):
    """A listening socket that accepts no more connections than the limit."""

    def __init__(self, listening: socket.socket, room: Connections) -> None:
        super().__init__(fileno=os.dup(listening.fileno()))
        self._room = room

    def accept(self) -> tuple[socket.socket, Any]:
        """Raises BlockingIOError: then asyncio continues with other work and asks again later."""
        if self._room.is_full and self._room.make_room():
            raise BlockingIOError
        accepted, address = super().accept()
        if self._room.is_full:
            # All connections are in use.
            accepted.close()
            raise BlockingIOError
        return self._room.take(accepted), address


def _hang_up(connection: Connection) -> None:
    # The transport that owns the socket sees its end, and closes it.
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The client closed it first.
        return
