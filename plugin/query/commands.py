"""`sorce search`. Importing this is fast: torch is imported with the first model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from opensearchpy import OpenSearch

from sorce import options
from sorce.cluster import find_index
from sorce.locate import ZOOM
from sorce.mappings import Hits
from sorce.mappings.example import LikePicture
from sorce.mappings.found import FoundIndex
from sorce.mappings.request import SearchRequest
from sorce.models import load_encoder
from sorce.models.methods import Runtime
from sorce.models.model import TextEncoder
from sorce.models.notes import note_of
from sorce.options import Cluster
from sorce.pictures.uris import Root
from sorce.plugin.query.export import Export
from sorce.plugin.query.export_files import FileExport, parse_exports, write_exports
from sorce.plugin.query.locating import SecondStage, look_again, not_opened, refuse_without_roots, with_enough
from sorce.plugin.query.options import request, second_stage
from sorce.plugin.query.remote import remote_texts
from sorce.plugin.query.search import ClientSearch, Searcher
from sorce.plugin.query.server import ServerSearch
from sorce.plugin.query.server_locating import ServerStage
from sorce.plugin.query.table import as_json as hits_as_json
from sorce.plugin.query.table import notes, table
from sorce.terminal import printable

DONE_WITH_REJECTS = 3
"""The exit code if some photos could not be drawn or exported, or not be looked at again."""


@click.command()
@options.index
@options.cluster
@request
@click.option("--client/--server", "here", default=True, help="Who encodes the text.  [default: client]")
@click.option(
    "--encoder",
    metavar="URL",
    envvar="SORCE_ENCODER",
    help="A running service (`sorce serve`) that encodes the texts instead of a model loaded here; else SORCE_ENCODER.",
)
@options.folder
@options.device
@options.trust_remote_code
@options.as_json
@click.option(
    "--save", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Draw the boxes into the photos."
)
@click.option(
    "--root",
    metavar="FOLDER|PREFIX",
    callback=options.root,
    help="Where the photos lie, also s3://bucket/photos; nothing outside it is drawn, packed or looked at again.",
)
@click.option(
    "--export",
    "exports",
    callback=parse_exports,
    multiple=True,
    metavar="FORMAT:FILE",
    help="Write the hits to FILE as json, csv, coco, yolo, lines or zip (photos and crops); may be repeated.",
)
@second_stage
def search(asked: SearchRequest, index: str, cluster: Cluster, here: bool, **given: Any) -> None:
    """Finds photos that show what TEXT says, or that look like an example, and where.

    The score ranks a photo. For one text it is the similarity. For several it is the sum of their similarities, less
    half the similarity to each --not. By --rank product, the match times the box's quality takes the place of the
    similarity, and a photo whose rank is not proved is marked. --debias helps against boxes that come up for any text.

    \b
    Examples:
      sorce search "a small red umbrella"
      sorce search "a dog" --and "a red ball" --not "a cat" --size 5
      sorce search "a key" --max-area 0.01 --folder flat/kitchen --save found
      sorce search "a kite" --server --json
      sorce search --like bag.jpg --box 20,40,180,260 --not "a person"
      sorce search "a bag" --not-like-region 1a2b3c4d/7
      sorce search "a red bag" --like-region 1a2b3c4d/7 --size 20 --from 20
      sorce search "a kite" --locate 20 --root photos --save found
      sorce search "a kite" --locate 20 --server
      sorce search "a kite" --size 100 --export coco:kites.json --export zip:kites.zip --root photos
    """
    roots = [] if given["root"] is None else [given["root"]]
    exports: Sequence[FileExport] = given["exports"]
    _refuse_contradictions(here, roots, exports, given)
    with cluster.client() as client:
        found = find_index(client, index)
        searcher = _searcher(client, found, asked, here, given)
        hits = _noted(searcher.search(with_enough(asked, given["locate"]) if here else asked), found)
        if given["locate"] and here:
            hits = look_again(hits, asked, _second_stage(searcher, found, roots, given))
    if given["as_json"]:
        click.echo(json.dumps(hits_as_json(hits, asked)))
    else:
        _tell(hits, asked)
    missing = [] if given["save"] is None else _drawn(hits, asked, given)
    missing += write_exports(exports, Export(hits, asked, roots))
    for sentence in missing:
        click.echo(sentence, err=True)
    if missing or not_opened(hits):
        click.get_current_context().exit(DONE_WITH_REJECTS)


def _refuse_contradictions(
    here: bool, roots: Sequence[Root], exports: Sequence[FileExport], given: Mapping[str, Any]
) -> None:
    """Raises click.UsageError, QueryError."""
    if given["locate"] and here:
        refuse_without_roots(roots)
    if not roots and any(each.format == "zip" for each in exports):
        raise click.UsageError("a ZIP holds photos; name the folder below which they may be opened with --root.")
    # What the environment names is for searches that the client encodes.
    named = click.get_current_context().get_parameter_source("encoder")
    if not here and named is ParameterSource.COMMANDLINE:
        raise click.UsageError("with --server the cluster has the texts encoded; leave --encoder out.")
    if given["localiser"] != ZOOM and not here:
        raise click.UsageError("with --server the cluster's own localiser looks; leave --localiser out.")


def _drawn(hits: Hits, asked: SearchRequest, given: Mapping[str, Any]) -> list[str]:
    """Draws the hits, and returns a sentence about photos that could not be opened."""
    from sorce.pictures.drawing import save

    drawn = save(hits, given["save"], given["root"], asked.labels, left_out=asked.start)
    click.echo(f"drawn: {', '.join(map(str, drawn.sheets))}", err=given["as_json"])
    return [] if drawn.warning is None else [drawn.warning]


def _noted(hits: Hits, found: FoundIndex) -> Hits:
    """Adds what the user should know about the index's model."""
    note = note_of(found.recipe)
    return hits if note is None else replace(hits, notes=(*hits.notes, note))


def _tell(hits: Hits, asked: SearchRequest) -> None:
    click.echo(table(hits, asked.labels, asked.start) if hits else "nothing found.")
    for sentence in (*notes(hits), *not_opened(hits)):
        click.echo(printable(sentence), err=True)


def _searcher(
    client: OpenSearch, found: FoundIndex, asked: SearchRequest, here: bool, given: dict[str, Any]
) -> Searcher:
    if not here:
        second = ServerStage(given["locate"], given["min_located_score"]) if given["locate"] else None
        return ServerSearch(client, found, second)
    if given["encoder"]:
        # Asked again if the name comes to stand for an index of another recipe.
        remote = ClientSearch(client, found, lambda _: remote_texts(given["encoder"], remote.found))
        return remote
    where = given["device"], given["folder"], given["trust_remote_code"]
    # The second stage may use the same encoder, for pictures.
    examples = (*asked.like, *asked.not_like)
    texts_first = not given["locate"] and not any(isinstance(each, LikePicture) for each in examples)
    return ClientSearch(client, found, lambda recipe: load_encoder(recipe, *where, texts_first=texts_first))


def _second_stage(searcher: Searcher, found: FoundIndex, roots: Sequence[Root], given: dict[str, Any]) -> SecondStage:
    from sorce.locate import open_localiser

    def encoder() -> TextEncoder:
        # The client's search has loaded it already.
        if isinstance(searcher, ClientSearch) and not given["encoder"]:
            return searcher.encoder()
        return load_encoder(found.recipe, given["device"], given["folder"], given["trust_remote_code"])

    localiser = open_localiser(given["localiser"], encoder, Runtime(given["device"]), given["trust_remote_code"])
    return SecondStage(localiser, given["locate"], roots, given["min_located_score"])
