"""A real S3 server on loopback (moto), for the tests of stores."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from sorce.ports import free_ports

STARTING = 120
"""Seconds for a busy machine to import the server."""


@contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """The address of a server with no bucket in it."""
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(words, stdout=output, stderr=output, env={**os.environ, **environment(address)})
        try:
            wait_for(f"{address}/moto-api/data.json", process)
            yield address
        finally:
            process.terminate()
            process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        assert process.poll() is None, "the S3 server has ended"
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the S3 server does not answer")


def environment(address: str) -> Mapping[str, str]:
    """With these variables every client finds the server. Any key is accepted."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def s3_client(address: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
