"""The encoder service with a model of words, as a process of its own: `python -m tests.kit.standalone PORT`.

It prints its port. The text "hold" keeps the encoder busy until a line comes in; the process prints a line when this
starts. A number of descriptors sets their limit. With the files of a certificate and its key, it uses TLS.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sorce.mappings import Vector
from sorce.plugin.service import app as service
from tests.kit.corpus import RECIPE, Words


class Holding(Words):
    def embed_texts(self, texts: Sequence[str]) -> Vector:
        if "hold" in texts:
            print("held", flush=True)
            sys.stdin.readline()
        return super().embed_texts(texts)


def serve(port: int, descriptors: int, certificate: Sequence[str]) -> None:
    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    shown = service.Certificate(*map(Path, certificate)) if certificate else None
    socket = service.listen("127.0.0.1", port, None)
    app = service.application(service.Served(RECIPE.model, Holding()))
    print(socket.getsockname()[1], flush=True)
    service.server(app, shown).run(sockets=[socket])


@contextmanager
def standing_alone(
    port: int = 0, descriptors: int = 0, certificate: Sequence[Path] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address. It is killed at the end, unless it has ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kit.standalone", str(port), str(descriptors), *map(str, certificate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    with process:
        try:
            scheme = "https" if certificate else "http"
            yield process, f"{scheme}://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
