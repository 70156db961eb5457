"""A server that answers like a cluster, for cases that a real one cannot produce: expired, or AWS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from sorce.engine.certificates import Pair


class Request(NamedTuple):
    """A request as it came in."""

    line: str
    headers: dict[str, str]
    body: bytes


INFO = {"version": {"number": "3.6.0", "distribution": "opensearch"}}


@contextmanager
def replying(*parts: bytes, then: Event | None = None) -> Iterator[str]:
    """The address of a server that reads a little, sends this to whoever connects, and disconnects.

    With `then` it stays, and says no more until that is set.
    """

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            for part in parts:
                connection.sendall(part)
            if then is not None:
                then.wait(60)

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threads.append(Thread(target=answer, args=(connection,)))
            threads[-1].start()

    threads: list[Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = Thread(target=serve)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            if then is not None:
                then.set()
            server.shutdown(socket.SHUT_RDWR)
            for each in (accepting, *threads):
                each.join(60)


@contextmanager
def listening(
    shown: Pair | None = None, folder: Path | None = None, answer: bytes | None = None, kind: str = "application/json"
) -> Iterator[tuple[str, list[Request]]]:
    """The server's address, and the requests that came in. With a certificate it uses TLS."""
    came: list[Request] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            came.append(Request(self.requestline, dict(self.headers), sent))
            body = json.dumps(INFO).encode() if answer is None else answer
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that disconnects is what the tests want."""

    with Server(("127.0.0.1", 0), Answering) as server:
        if shown is not None:
            assert folder is not None
            shown.write(folder / "shown.pem", folder / "shown.key")
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(folder / "shown.pem", folder / "shown.key")
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"{'http' if shown is None else 'https'}://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
            thread.join()
