"""HTTP for slow clients: uvicorn alone waits for ever for a request's head, and for a client to read an answer."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10
SEND_SECONDS = 30
"""Seconds that a client may go without reading an answer that waits for it."""


class HeaderTimeout(H11Protocol):
    """Closes a connection if the head of the next request has not arrived in time, even if bytes trickle in.

    Between two requests uvicorn's own time-out applies, until the first byte of the second. Also closes the connection
    of a client that does not read its answer.
    """

    last_used = 0.0
    """When the client last sent something, by the event loop's clock."""
    _timer: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    @property
    def is_in_work(self) -> bool:
        """Whether a complete request has arrived whose answer is not finished."""
        answering = self.cycle is not None and not self.cycle.response_complete
        return answering and self.conn.their_state is not h11.SEND_BODY

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._stop_sending()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_sending()

    def _look(self) -> None:
        self.last_used = self.loop.time()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
