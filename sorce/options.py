"""The options of every command that asks a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click
from opensearchpy import OpenSearch

from sorce.access import Access
from sorce.cluster import DEFAULT_URL, connect

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cluster:
    """What a command line says of the cluster; who asks it, and its authority, only the environment says."""

    url: str | None
    insecure: bool

    def connect(self) -> OpenSearch:
        """Raises ClusterError, UnsupportedVersion."""
        return connect(self.url, Access.from_environment(self.insecure))


def cluster(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command `--url` and `--insecure`, as its argument `cluster`."""

    @click.option("--url", help=f"The cluster; else OPENSEARCH_URL, else {DEFAULT_URL}.")
    @click.option("--insecure", is_flag=True, help="Do not check the cluster's certificate.")
    @wraps(command)
    def called(*args: Any, url: str | None, insecure: bool, **others: Any) -> Result:
        return command(*args, cluster=Cluster(url, insecure), **others)

    return called
