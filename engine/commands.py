"""`sorce engine start | stop | status`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sorce.engine.lifecycle import start, status
from sorce.engine.lines import LINES, NEWEST
from sorce.engine.node import Engine
from sorce.engine.nodes import MAX_NODES, SMALL_HEAP, cluster, nodes_of, refuse_cluster, start_nodes, stop_nodes

name_option = click.option("--name", default="default", show_default=True, help="Which engine, if you have several.")


def say(sentence: str) -> None:
    click.echo(sentence, err=True)


@click.group()
def engine() -> None:
    """A local OpenSearch, for the demo, the tests and a first look."""


@engine.command("start")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9200, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--heap", help="Memory for Java. Leave as much for the file cache.  [default: 1g; of several nodes 512m]")
@click.option(
    "--nodes", type=click.IntRange(1, MAX_NODES), default=1, show_default=True, help="So many nodes; line 3.6 only."
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of the indices.")
@click.option(
    "--line", type=click.Choice(list(LINES)), default=NEWEST, show_default=True, help="Version of OpenSearch."
)
@click.option("--quick-start", is_flag=True, help="Start in half the time, search slower: for tests only.")
@name_option
def start_command(
    port: int, heap: str | None, nodes: int, data: Path | None, line: str, quick_start: bool, name: str
) -> None:
    """Start OpenSearch, wait until it is healthy, and print its URL.

    The first start fetches OpenSearch with Maven (570 MB). The data stays when you stop it. Line 3.6 needs Java 21 or
    newer; everyone who can log in to this machine can use it. Line 2.19 has TLS and users; it needs Java 11 to 21 and
    the packages of `pip install 'sorce[engine]'`.

    \b
        sorce engine start
        sorce engine start --name big --port 9300 --heap 4g --data ./photos-index
        sorce engine start --name secured --line 2.19 --port 9201
        sorce engine start --name three --nodes 3 --port 9202
    """
    heap = heap or ("1g" if nodes == 1 else SMALL_HEAP)
    engine = Engine.named(name, data=data, port=port, heap=heap, line=line, quick_start=quick_start)
    if nodes > 1 and (engine.security is not None or data is not None):
        raise click.UsageError("--nodes needs line 3.6, and its own folders; leave out --line and --data.")
    if nodes > 1:
        node, *others = start_nodes(cluster(engine, nodes), say)
        say(f"The other nodes answer at {', '.join(each.url for each in others)}.")
    else:
        refuse_cluster(engine)
        node = start(engine, say)
    click.echo(node.url)
    if node.security is not None:
        say("To use it, run:")
        for variable, value in node.environment.items():
            say(f"  export {variable}={value}")


@engine.command("stop")
@name_option
def stop_command(name: str) -> None:
    """Stop OpenSearch. Its data stays."""
    say("Stopped." if stop_nodes(nodes_of(Engine.named(name))) else f"No engine '{name}' is running.")


@engine.command("status")
@name_option
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, for programs.")
def status_command(name: str, as_json: bool) -> None:
    """Say whether OpenSearch runs, and where. The exit code is 1 if it does not."""
    node = status(Engine.named(name))
    if as_json:
        facts: dict[str, Any] = {"name": name, "running": node is not None}
        if node is not None:
            facts |= {"health": node.health(), "url": node.url, "pid": node.pid}
            facts["nodes"] = [each.url for each in map(status, nodes_of(Engine.named(name))) if each is not None]
            facts |= {"data": node.data, "heap": node.heap, "java": node.java, "environment": node.environment}
        click.echo(json.dumps(facts))
    elif node is None:
        click.echo(f"No engine '{name}' is running.")
    else:
        click.echo(
            f"{node.url} is {node.health()}: process {node.pid}, heap {node.heap}, {node.java}, data {node.data}"
        )
    if node is None:
        raise click.exceptions.Exit(1)
