"""`sorce search`. Importing this is cheap: torch comes with the first model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from opensearchpy import OpenSearch

from sorce import options
from sorce.models import load_encoder
from sorce.options import Cluster
from sorce.plugin.query.options import parse_request, request
from sorce.plugin.query.search import ClientSearch, Searcher, ServerSearch
from sorce.plugin.query.table import as_json as hits_as_json
from sorce.plugin.query.table import table


@click.command()
@click.argument("text")
@options.index
@options.cluster
@request
@click.option("--client/--server", "here", default=True, help="Who encodes the text.  [default: client]")
@options.folder
@options.device
@options.trust_remote_code
@options.as_json
@click.option(
    "--save", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Draw the boxes into the photos."
)
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where photos of relative paths lie; no file outside it is drawn.",
)
def search(text: str, index: str, cluster: Cluster, here: bool, **given: Any) -> None:
    """Finds photos that show a thing, and where.

    The score ranks a photo: the similarity for one thing; for several, the sum of their similarities less half of that
    to each --not. By --rank product, each box's match times its quality takes the place of the similarity; what a photo
    that was no candidate might rank before is marked unproved. --debias is for boxes that come up whatever is asked.

    \b
    Examples:
      sorce search "a small red umbrella"
      sorce search "a dog" --and "a red ball" --not "a cat" --size 5
      sorce search "a key" --max-area 0.01 --folder flat/kitchen --save found
      sorce search "a kite" --server --json
    """
    asked = parse_request(text, given)
    with cluster.client() as client:
        hits = _searcher(client, index, here, given).search(asked)
    if given["as_json"]:
        click.echo(json.dumps(hits_as_json(hits)))
    else:
        click.echo(table(hits) if hits else "nothing found.")
    if given["save"] is not None:
        from sorce.pictures.drawing import save

        written = save(hits, given["save"], given["root"], text)
        click.echo(f"drawn: {written[-1]}", err=given["as_json"])


def _searcher(client: OpenSearch, index: str, here: bool, given: dict[str, Any]) -> Searcher:
    if not here:
        return ServerSearch(client, index)
    where = given["device"], given["folder"], given["trust_remote_code"]
    return ClientSearch(client, index, lambda recipe: load_encoder(recipe, *where))
