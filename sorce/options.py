"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

import click
from opensearchpy import OpenSearch

from sorce.access import Access
from sorce.cluster import DEFAULT_URL, address, connect, translate_errors
from sorce.errors import SorceError
from sorce.mappings.compression import COMPRESSIONS, FLOAT32
from sorce.mappings.names import check_index_name

if TYPE_CHECKING:
    from sorce.pictures.uris import Root

Result = TypeVar("Result")
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Cluster:
    """The cluster options of a command line. The user and the certificate authority come only from the environment."""

    url: str | None
    insecure: bool

    def connect(self) -> OpenSearch:
        """Raises ClusterError, UnsupportedVersion."""
        return connect(self.url, Access.from_environment(self.insecure))

    @contextmanager
    def client(self) -> Iterator[OpenSearch]:
        """A client that is closed at the end; its errors become a ClusterError of one sentence."""
        with self.connect() as client, translate_errors(address(client)):
            yield client


def cluster(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command `--url` and `--insecure`, as its argument `cluster`."""

    @click.option("--url", help=f"The cluster; else OPENSEARCH_URL, else {DEFAULT_URL}.")
    @click.option("--insecure", is_flag=True, help="Do not check the cluster's certificate.")
    @wraps(command)
    def called(*args: Any, url: str | None, insecure: bool, **others: Any) -> Result:
        return command(*args, cluster=Cluster(url, insecure), **others)

    return called


class FiniteRange(click.FloatRange):
    """A range of numbers without `nan` and `inf`, which click takes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"'{value}' is not a finite number.", param, ctx)
        return number


def several(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator, shown in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def check_index(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """The name as it was given. It is checked before a cluster is asked or a model loaded. Raises IndexNameError."""
    return name if name is None else check_index_name(name)


def root(_context: click.Context, _option: click.Parameter, text: str | None) -> Root | None:
    """A folder, or a prefix of a store, below which photos may be opened."""
    from sorce.pictures.uris import parse_root

    try:
        return None if text is None else parse_root(text)
    except SorceError as error:
        raise click.BadParameter(str(error)) from error


def roots(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> list[Root]:
    """Like `root`, for an option that may be repeated."""
    return [found for text in texts if (found := root(context, option, text)) is not None]


index = click.option(
    "--index",
    default="photos",
    show_default=True,
    callback=check_index,
    help="The index, or an alias of one.",
)
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
folder = click.option(
    "--model", "folder", metavar="FOLDER", help="Where the index's model lies, if it was read from a folder."
)
trust_remote_code = click.option(
    "--trust-remote-code",
    is_flag=True,
    help="Let Python code that the model or the detector brings along run, with your rights.",
)
compression = click.option(
    "--compression",
    type=click.Choice(COMPRESSIONS),
    default=FLOAT32,
    show_default=True,
    help="How the graph of a new index holds vectors. 4x: a byte per number; it needs less memory, and more disk.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
