"""Runs the encoder service in a thread of this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from fastapi import FastAPI

from sorce.plugin.service import app as service


@contextmanager
def serving(app: FastAPI, shown: service.Certificate | None = None) -> Iterator[str]:
    """The service's address, `http://127.0.0.1:port`, or https with a certificate."""
    socket = service.listen("127.0.0.1", 0, None)
    server = service.server(app, shown)
    thread = Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    scheme = "http" if shown is None else "https"
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"{scheme}://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        socket.close()
    assert not thread.is_alive()
