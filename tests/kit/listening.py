"""A server that answers like a cluster, for cases that a real one cannot produce: expired, or AWS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from sorce.engine.certificates import Pair


class Request(NamedTuple):
    """A request as it came in."""

    line: str
    headers: dict[str, str]
    body: bytes


INFO = {"version": {"number": "3.6.0", "distribution": "opensearch"}}


@contextmanager
def hanging_up(first: bytes = b"") -> Iterator[str]:
    """The address of a server that reads a little, sends this, and disconnects, as a cluster does that shuts down."""

    def hang_up() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(10_000)
                connection.sendall(first)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=hang_up)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


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
