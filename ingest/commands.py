"""`sorce ingest`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sorce.errors import SorceError
from sorce.ingest.attributes import AttributeTable
from sorce.ingest.continuous import run_on
from sorce.ingest.progress import INTERRUPTED
from sorce.ingest.request import Request
from sorce.ingest.retry import SECONDS
from sorce.ingest.run import run, told
from sorce.ingest.write import THREADS
from sorce.mappings import Attribute
from sorce.mappings.index import parse_attribute
from sorce.models import DEFAULT_MODEL, DEFAULT_REGIONS, METHODS
from sorce.options import FiniteRange, cluster, compression, trust_remote_code
from sorce.pictures.remote import is_remote

DONE_WITH_REJECTS = 3


def attributes(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, Attribute]:  # noqa: ARG001
    try:
        pairs = [parse_attribute(text) for text in texts]
    except SorceError as error:
        raise click.BadParameter(str(error)) from error
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name in found if sum(name == each for each, _ in pairs) > 1)
        raise click.BadParameter(f"attribute '{twice}' is set twice, and a photo has one value of it; leave one out.")
    return found


def settings(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> list[tuple[str, str]]:  # noqa: ARG001
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (name, given, _) in zip(texts, pairs, strict=True) if not name or not given]:
        raise click.BadParameter(f"'{wrong[0]}' is not understood; write name=value, such as refresh_interval=30s.")
    return [(name, value) for name, _, value in pairs]


def existing(context: click.Context, option: click.Parameter, paths: Sequence[str]) -> Sequence[str]:
    """URIs of stores and archives are looked at when their turn comes."""
    path = click.Path(exists=True, allow_dash=True)
    return [each if is_remote(each) else str(path.convert(each, option, context)) for each in paths]


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...", callback=existing)
@click.option("--index", help="The index of the photos; it is created if it does not exist.")
@click.option(
    "--alias",
    help="An alias, instead of --index: an index is made for the recipe, and the alias moves to it when complete.",
)
@cluster
@click.option("--model", help=f"A name on the hub, a folder, or 'mini'.  [default: the index's, or {DEFAULT_MODEL}]")
@click.option(
    "--regions",
    type=click.Choice(sorted(METHODS)),
    help=f"How a photo becomes regions.  [default: the index's, or {DEFAULT_REGIONS}]",
)
@click.option(
    "--min-object-size", type=float, help="Side of the smallest object, as a share of the photo's longer side."
)
@click.option("--max-regions", type=int, help="Maximum number of regions per photo, including the whole photo.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another parameter of the regions method, as `sorce models list` lists them; may be repeated.",
)
@click.option(
    "--dimension",
    type=click.IntRange(1),
    help="Cut the vectors to this many numbers, if the model was trained for that.  [default: the index's, or all]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 (and so on) or mps.")
@trust_remote_code
@click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Regions per step of the model."
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Threads that decode, or with --ray the processes that decode and encode.  "
    "[default: a thread per core; with --ray a process per GPU or machine]",
)
@click.option("--ray", is_flag=True, help="Work in several processes of this machine, by Ray.")
@click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="Work on a Ray cluster that this machine is part of: host:port, or auto. It must ask for a token.",
)
@click.option(
    "--num-gpus",
    type=FiniteRange(0),
    metavar="NUMBER",
    help="With --ray, the GPUs of each worker, such as 1 or 0.5.  [default: 0]",
)
@click.option(
    "--writers",
    type=click.IntRange(1),
    help=f"With --ray, the most requests that all workers together send to the cluster at once.  [default: {THREADS}]",
)
@click.option(
    "--list",
    "lists",
    multiple=True,
    metavar="FILE",
    callback=existing,
    help="A CSV or Parquet file with a column uri (or path), and an attribute in each other column; may be repeated.",
)
@click.option(
    "--watch", is_flag=True, help="Keep running: ingest photos that come into the folders, delete those that go."
)
@click.option(
    "--from-events",
    metavar="FILE",
    help="Ingest and delete what S3 events name: JSON, one per line, in a file or from standard input (-).",
)
@click.option("--checksum", is_flag=True, help="Read each file, even if its size and time of change are the same.")
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False), help="Name photos by their path relative to this folder."
)
@click.option("--root-moved", is_flag=True, help="The photos of the index now lie below this other --root.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="GLOB",
    help="Leave out files and folders that match this pattern; may be repeated.",
)
@click.option("--limit", type=click.IntRange(0), help="Stop after this number of photos.")
@click.option(
    "--set",
    "attributes",
    multiple=True,
    metavar="KEY=VALUE",
    callback=attributes,
    help="An attribute of each photo: key=value, key:int=3, key:float=2.5 or key:date=2026-01-31; may be repeated.",
)
@click.option(
    "--attributes",
    "table",
    metavar="FILE.csv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=lambda _context, _option, file: AttributeTable() if file is None else AttributeTable.read(file),
    help="A CSV file with attributes of single photos: the column path (relative to the file) names the photo, "
    "the others are named as in --set (aisle:int).",
)
@click.option("--shards", type=click.IntRange(1), help="Primary shards of a new index.  [default: the cluster's, 1]")
@click.option("--replicas", type=click.IntRange(0), help="Copies of each shard of a new index.  [default: 1]")
@compression
@click.option(
    "--setting",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=settings,
    help="Another setting of a new index, such as refresh_interval=30s; may be repeated.",
)
@click.option(
    "--settings",
    "settings_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="A JSON file with settings of a new index.",
)
@click.option(
    "--retry-timeout",
    type=FiniteRange(0),
    default=SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to retry while the cluster accepts nothing: it is busy, restarts, or its disk is full.",
)
@click.option("--force", is_flag=True, help="Encode unchanged photos again.")
@click.option(
    "--thumbnails",
    is_flag=True,
    help="Store a small picture (8 kB at most) with each photo that is encoded; with --force, with each that is there.",
)
@click.option(
    "--optimize",
    is_flag=True,
    help="At the end, merge the index to one segment per shard: searches get faster. For an index that is complete.",
)
@click.option("--prune", is_flag=True, help="Remove photos from the index whose file is gone from the given folders.")
@click.option(
    "--prune-anyway", is_flag=True, help="Prune without asking, even if more than a tenth of the photos is gone."
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write the rejected files and the reasons here, as JSON lines.",
)
@click.option("--no-run-log", is_flag=True, help="Do not log this run in the cluster (index sorce-runs-*).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def ingest(**options: Any) -> None:
    """Bring photos into an index: files, folders with all below them, or - for a list of paths on stdin.
    Paths in the list are separated by line ends or by NUL. A path may also be the URI of a store, such as
    s3://bucket/photos (gs://, az://, https://), or of members of an archive: tar://*.jpg::s3://bucket/photos.tar.

    Photos that are there already, unchanged, are skipped; so after an interruption, run the same command again. Their
    size and time of change, or the tag of their store, say whether they are unchanged; --checksum reads them.
    With --alias, photos are searched by that name: when all are in the index of this recipe, the alias moves to it.
    The index that it named before stays until somebody deletes it.

    \b
        sorce ingest --index photos ~/Pictures
        sorce ingest --index photos --model mini --limit 100 ./photos
        sorce ingest --alias photos --regions clusters ~/Pictures
        sorce ingest --index photos s3://bucket/photos --list more.parquet
        sorce ingest --index photos --ray --workers 2 ~/Pictures
        sorce ingest --index shelves --root /mnt/photos --set store:int=17 --prune /mnt/photos/17
        find . -name '*.jpg' -newer stamp -print0 | sorce ingest --index photos -

    The exit code is 0 if all went well, 3 if there were rejects, 1 for an error, 130 after Ctrl-C or SIGTERM.
    """
    request = Request(**options)
    if not request.paths and not request.lists and request.from_events is None:
        raise click.UsageError("name the photos to ingest: files, folders, URIs of a store, or --list.")
    if (request.index is None) == (request.alias is None):
        raise click.UsageError("name the index of the photos, by either --index or --alias.")
    goes_on = request.watch or request.from_events is not None
    index, report = run_on(request) if goes_on else run(request)
    if not request.quiet or request.as_json:
        click.echo(told(request, index, report))
    if report.stopped:
        click.echo("stopped early; run the same command again for the rest.", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
    if report.rejected:
        raise click.exceptions.Exit(DONE_WITH_REJECTS)
