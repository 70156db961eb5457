"""Google's and Azure's stores on loopback, by emulators, for the tests of stores."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sorce.ports import free_ports
from tests.kit.s3 import STARTING

AZURITE = shutil.which("azurite-blob")

# Azurite's own account and key, which its documentation gives.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def gs_server(folder: Path) -> Iterator[Mapping[str, str]]:
    """The environment in which every client finds a store without a bucket. No key is needed."""
    [port] = free_ports(1)
    words = [sys.executable, "-m", "gcp_storage_emulator", "--data-dir", str(folder / "data"), "start", "--quiet"]
    with server([*words, "--host", "127.0.0.1", "--port", str(port)], port, folder / "log"):
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}


@contextmanager
def az_server(folder: Path) -> Iterator[Mapping[str, str]]:
    """The same for Azure. Needs Azurite (npm)."""
    [port] = free_ports(1)
    words = [str(AZURITE), "--silent", "--location", str(folder), "--skipApiVersionCheck", "--disableTelemetry"]
    account = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURE_KEY}"
    with server([*words, "--blobHost", "127.0.0.1", "--blobPort", str(port)], port, folder / "log"):
        endpoint = f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"
        yield {"AZURE_STORAGE_CONNECTION_STRING": f"{account};{endpoint};"}


@contextmanager
def server(words: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """A program that listens on the port."""
    with log.open("w") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, env=os.environ)
        try:
            end = time.monotonic() + STARTING
            while not listens(port):
                assert process.poll() is None, f"{words} has ended"
                assert time.monotonic() < end, f"{words} does not answer"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
