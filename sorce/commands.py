"""`sorce index` and `sorce delete`: what a cluster holds, and how to take it away."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from sorce import options
from sorce.cluster import find_index
from sorce.errors import IndexMissing, SorceError
from sorce.ingest.delete import Removal
from sorce.listing import IndexInfo, delete_index, described, list_indices
from sorce.mappings.compression import INT8
from sorce.mappings.filters import Filter
from sorce.mappings.names import check_index_name
from sorce.mappings.selection import Selection
from sorce.options import Cluster
from sorce.pictures.source import ID_DIGITS
from sorce.plugin.query.options import filter_options, parse_filter
from sorce.rollover import rollover_template
from sorce.terminal import printable

name = click.argument("name", callback=lambda _context, _argument, given: check_index_name(given))
yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def index() -> None:
    """Lists, describes and deletes the indices that sorce made."""


@index.command("list")
@options.cluster
@options.as_json
def list_(cluster: Cluster, as_json: bool) -> None:
    """Lists the indices of the cluster that hold photos."""
    with cluster.client() as client:
        found = list_indices(client)
    if as_json:
        click.echo(json.dumps([each.as_dict() for each in found]))
    elif not found:
        click.echo("no index of photos; make one with `sorce ingest --index NAME PHOTOS`.")
    else:
        for line in _table(found):
            click.echo(printable(line))


@index.command("info")
@name
@options.cluster
@options.as_json
def info(name: str, cluster: Cluster, as_json: bool) -> None:
    """Describes the index NAME, or the index that the alias NAME stands for."""
    with cluster.client() as client:
        found = described(client, find_index(client, name))
    if as_json:
        click.echo(json.dumps(found.as_dict()))
        return
    facts = {
        "index": ", ".join((found.name, *found.others)),
        "aliases": ", ".join(found.aliases) or "none",
        "photos": f"{found.photos:,}",
        "regions": f"{found.regions:,}",
        "size": _size(found.bytes),
        "recipe": str(found.recipe),
        "vectors": "4x: a byte per number in the graph" if found.compression == INT8 else "1x: float32",
        "root": found.root or "none: absolute paths",
        "schema": str(found.schema),
        "attributes": ", ".join(f"{key} ({kind})" for key, kind in sorted(found.attributes.items())) or "none",
    }
    for word, fact in facts.items():
        click.echo(printable(f"{word:<11}{fact}"))


@index.command("template")
@name
@options.cluster
def template(name: str, cluster: Cluster) -> None:
    """Prints an index template for the next indices of the alias NAME, which OpenSearch's `_rollover` makes.

    It has the mapping and the settings of the alias's write index. Put it into the cluster before each rollover.

    \b
    Example:
      sorce index template photos | curl -X PUT -H 'Content-Type: application/json' --data-binary @- \\
        localhost:9200/_index_template/photos
    """
    with cluster.client() as client:
        click.echo(json.dumps(rollover_template(client, name)))


@index.command("delete")
@name
@options.cluster
@yes
def delete_(name: str, cluster: Cluster, yes: bool) -> None:
    """Deletes the index NAME with all its photos. The picture files stay.

    An alias is refused: name the index itself. What `sorce plugin install` made for the index stays in the cluster;
    take it away first, with `sorce plugin uninstall`.
    """
    with cluster.client() as client:
        found = find_index(client, name)
        if found.is_alias:
            raise IndexMissing(f"'{name}' is an alias of the index '{', '.join(found.names)}'; name the index itself.")
        what = described(client, found)
        known = f" (also known as {', '.join(what.aliases)})" if what.aliases else ""
        _confirm(f"Delete the index '{what.name}'{known} with its {_photos(what.photos)}?", yes)
        delete_index(client, what)
    click.echo(f"deleted the index '{what.name}' with its {_photos(what.photos)}.")


@click.command()
@click.argument("photo_ids", nargs=-1, metavar="[PHOTO_ID]...")
@options.index
@options.cluster
@filter_options
@yes
def delete(photo_ids: tuple[str, ...], index: str, cluster: Cluster, yes: bool, **given: Any) -> None:
    """Deletes photos from an index, after it said how many. The picture files stay.

    Name photos by their ids, as `sorce search --json` prints them, or give conditions, as for a search, or both. A
    photo meets the conditions if one of its regions meets all of them. A later ingest of the same files brings the
    photos back.

    \b
    Examples:
      sorce delete 1a2b3c4d5e6f708192a3b4c5d6e7f809
      sorce delete --where shop=north --until 2019-12-31
    """
    selection = Selection(photo_ids or None, parse_filter(given))
    if selection.photo_ids is None and selection.filter == Filter():
        raise click.UsageError("name photos by their ids, or give a condition.")
    with cluster.client() as client:
        removal = Removal(client, index, selection)
        found = {photo.photo_id for photo in removal.photos}
        for missing in sorted(set(photo_ids) - found):
            whole = "" if len(missing) == ID_DIGITS else f" An id has {ID_DIGITS} digits, as --json prints it."
            click.echo(printable(f"note: no photo '{missing}' meets this in '{index}'.{whole}"), err=True)
        if not found:
            click.echo("nothing to delete.")
            return
        first = printable(removal.photos[0].uri)
        _confirm(f"Delete {_photos(len(found))} from '{index}', such as {first}?", yes)
        done = removal.run()
    click.echo(f"deleted {_photos(done.photos)} from '{index}'.")
    if done.left_alone:
        stay = f"changed meanwhile, and left alone: {_photos(done.left_alone)}; run the same command again."
        click.echo(stay, err=True)


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count:,} photos"


def _confirm(question: str, yes: bool) -> None:
    """Asks at the terminal. Raises SorceError for a no, and where nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise SorceError(f"nothing was deleted, as nobody can be asked here: {question} Add --yes to do it.")
    if not click.confirm(question, err=True):
        raise SorceError("nothing was deleted.")


def _table(found: list[IndexInfo]) -> list[str]:
    rows = [("index", "photos", "regions", "size", "recipe", "aliases")]
    for each in found:
        counts = f"{each.photos:,}", f"{each.regions:,}", _size(each.bytes)
        rows.append((each.name, *counts, str(each.recipe), ", ".join(each.aliases)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _size(size: int | None) -> str:
    if size is None:
        return "not known"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
