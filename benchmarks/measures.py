"""`make measures`: prints one line per figure, and writes all figures, with facts about the machine, into a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import click
from figures import Line, machine

from sorce.cli import run

MEASURES: Mapping[str, str] = {
    "dashboards": "saved_objects",
    "demo": "fresh",
    "faults": "faults",
    "finds": "finds",
    "locate": "second_stage",
    "located": "located",
    "rerun": "rerun",
    "writing": "bulk",
    "forward": "forward",
    "gpu": "gpu",
    "start": "start",
    "repeats": "repeats",
    "photos": "photos",
    "memory": "memory",
    "plain": "plain",
    "prompts": "prompts",
    "clusters": "clusters",
    "load": "load",
    "objembed": "objembed",
    "product": "product",
    "querybank": "querybank",
    "roles": "roles",
    "growth": "growth",
    "queries": "queries",
    "examples": "examples",
    "page": "page",
    "peers": "peers",
    "piza": "piza",
    "train_piza": "train_piza",
    "ray": "ray_ingest",
    "unread": "unread",
    "nodes": "nodes",
    "int8": "int8",
}
"""For each name, the module beside this one whose `measures()` yields its lines."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(MEASURES)))
@click.option("--out", type=click.Path(path_type=Path), default=Path("measures.json"), show_default=True)
def measures(names: tuple[str, ...], out: Path) -> None:
    """Take the named measures, or all, and print a line for each figure.

    \b
        make measures
        make measures ONLY="finds plain"
    """
    taken: list[Line] = []
    for name in names or MEASURES:
        take: Callable[[], Iterator[Line]] = import_module(MEASURES[name]).measures
        for line in take():
            click.echo(str(line))
            taken.append(line)
            # Written after each line, so that an interrupted run of an hour keeps its figures.
            write(out, taken)
    hold, short = (sum(line.holds is verdict for line in taken) for verdict in (True, False))
    missing = sum(line.figure is None for line in taken)
    click.echo(f"{len(taken)} figures, {hold} bars hold, {short} fall short, {missing} not taken; {out}")


def write(out: Path, taken: list[Line]) -> None:
    facts = {"taken_at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    out.write_text(json.dumps({**facts, "measures": [line.as_json() for line in taken]}, indent=1) + "\n")


if __name__ == "__main__":
    # `training` and `demo` are no part of the product, so they are not installed.
    sys.path.insert(0, str(Path(__file__).parents[1]))
    run(measures, "measures")
