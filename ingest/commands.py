"""`sorce ingest`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from typing import IO, Any

import click
from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.errors import ModelError, SorceError
from sorce.ingest.alias import switch, target, template_is_outdated
from sorce.ingest.index import TargetIndex
from sorce.ingest.pipeline import Options, default_workers, ingest_photos, rehearse
from sorce.ingest.progress import INTERRUPTED, Progress, interruptible
from sorce.ingest.prune import count_gone, prune
from sorce.ingest.report import Report
from sorce.ingest.retry import SECONDS, Interrupted, Retry
from sorce.mappings import Attribute, Recipe
from sorce.mappings.index import parse_attribute
from sorce.mappings.recipe import Plain
from sorce.models import DEFAULT_MODEL, DEFAULT_REGIONS, METHODS, Model, load_model, parse_parameters
from sorce.models.checkpoint import FOLDER, Checkpoint, find, find_again
from sorce.options import Cluster, cluster
from sorce.pictures.files import Files, Naming, absolute_path, named

DONE_WITH_REJECTS = 3


@dataclass(frozen=True)
class Request:
    """The command line."""

    paths: Sequence[str]
    index: str | None
    alias: str | None
    cluster: Cluster
    model: str | None
    regions: str | None
    min_object_size: float | None
    max_regions: int | None
    parameters: Sequence[str]
    device: str
    batch_size: int
    workers: int
    root: str | None
    ignore: Sequence[str]
    limit: int | None
    attributes: Mapping[str, Attribute]
    retry_timeout: float
    force: bool
    prune: bool
    dry_run: bool
    rejects: IO[str] | None
    as_json: bool
    quiet: bool

    @property
    def name(self) -> str:
        """What the photos are found by."""
        return self.index or self.alias or ""

    def files(self) -> Files:
        """Raises SorceError where a path is outside the root."""
        root = None if self.root is None else absolute_path(self.root)
        return Files(named(self.paths, sys.stdin), Naming(root), self.ignore)

    def load_model(self, there: Recipe | None) -> Model[Any]:
        """What the command line leaves open the index decides, or else the defaults. Raises ModelError."""
        regions = self.regions or (DEFAULT_REGIONS if there is None else there.regions)
        parameters = self.given_parameters(regions)
        if there is not None and there.regions == regions and regions in METHODS:
            # A recipe may say more than a user can set, such as a detector's revision.
            parameters = {**{name: there.parameters[name] for name in METHODS[regions].parameters}, **parameters}
        return load_model(self.checkpoint(there), regions, parameters, self.device, self.batch_size)

    def checkpoint(self, there: Recipe | None) -> Checkpoint:
        """The very weights of the index, where no others are named: what a name on the hub stands for changes."""
        if there is None or self.model not in (None, there.model):
            return find(self.model or DEFAULT_MODEL)
        if there.model == FOLDER:
            raise ModelError(f"index '{self.name}' was made with a model from a folder; name that folder with --model.")
        return find_again(there)

    def given_parameters(self, regions: str) -> dict[str, Plain]:
        """Those of the command line."""
        usual: dict[str, Plain] = {"min_object_size": self.min_object_size, "max_regions": self.max_regions}
        given = {name: value for name, value in usual.items() if value is not None}
        return {**given, **(parse_parameters(regions, self.parameters) if self.parameters else {})}


def attributes(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, Attribute]:  # noqa: ARG001
    try:
        return dict(parse_attribute(text) for text in texts)
    except SorceError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, allow_dash=True))
@click.option("--index", help="Where the photos go; it is made if there is none.")
@click.option(
    "--alias", help="Or: the name for an index of this very recipe, which is made and switched to when complete."
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
@click.option("--max-regions", type=int, help="The most regions per photo, the whole photo included.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another parameter of the regions method, as `sorce models` lists them; may be repeated.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 (and so on) or mps.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Regions per step of the model."
)
@click.option(
    "--workers", type=click.IntRange(1), default=default_workers, help="Threads that decode.  [default: one per core]"
)
@click.option(
    "--root", type=click.Path(exists=True, file_okay=False), help="Name photos by their path below this folder."
)
@click.option("--ignore", multiple=True, metavar="GLOB", help="Leave out such files and folders; may be repeated.")
@click.option("--limit", type=click.IntRange(0), help="Stop after so many photos.")
@click.option(
    "--set",
    "attributes",
    multiple=True,
    metavar="KEY=VALUE",
    callback=attributes,
    help="Say more of each photo: key=value, key:int=3, key:float=2.5 or key:date=2026-01-31; may be repeated.",
)
@click.option(
    "--retry-timeout",
    type=click.FloatRange(0),
    default=SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a cluster that takes nothing: busy, restarting, or with a full disk.",
)
@click.option("--force", is_flag=True, help="Encode unchanged photos again.")
@click.option("--prune", is_flag=True, help="Remove photos from the index whose file is gone from the given folders.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--rejects", type=click.File("w", lazy=False), help="Write what was rejected here, as JSON lines.")
@click.option("--json", "as_json", is_flag=True, help="End with a JSON object instead of a line for people.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def ingest(**options: Any) -> None:
    """Bring photos into an index: files, folders with all below them, or - for a list of paths on stdin.

    Photos that are there already, unchanged, are skipped; so after an interruption, run the same command again.
    With --alias, photos are searched by that name: when all are in, it moves from the index of the recipe before, which
    stays until somebody deletes it, to that of this one.

    \b
        sorce ingest --index photos ~/Pictures
        sorce ingest --index photos --model mini --limit 100 ./photos
        sorce ingest --alias photos --regions clusters ~/Pictures
        sorce ingest --index shelves --root /mnt/photos --set store:int=17 --prune /mnt/photos/17
        find . -name '*.jpg' -newer stamp | sorce ingest --index photos -

    The exit code is 0 if all went well, 3 if there were rejects, 1 for an error, 130 after Ctrl-C.
    """
    request = Request(**options)
    if (request.index is None) == (request.alias is None):
        raise click.UsageError("say where the photos go, by either --index or --alias.")
    index, report = run(request)
    if not request.quiet or request.as_json:
        click.echo(told(request, index, report))
    if report.stopped:
        click.echo("stopped early; run the same command again for the rest.", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
    if report.rejected:
        raise click.exceptions.Exit(DONE_WITH_REJECTS)


def run(request: Request) -> tuple[str, Report]:
    """The index that the photos went to, and what was done."""
    files = request.files()
    if request.prune and not files.folders():
        raise click.UsageError("--prune looks for photos that are gone from a folder; name a folder.")
    client = request.cluster.connect()
    with translate_errors(address(client)):
        there = TargetIndex(client, request.name).recipe()
        model = request.load_model(there)
        index = target(client, request.alias, model.recipe) if request.alias else request.name
    photos, others = files.count()
    expected = photos if request.limit is None else min(photos, request.limit)
    with Progress(expected, request.rejects, request.quiet) as progress, interruptible(progress):
        report = work(client, index, request, model, files, progress)
        if request.alias and not report.stopped and not request.dry_run:
            try:
                progress.say(moved(client, index, request, request.alias, files, progress))
            except Interrupted:
                report = replace(report, stopped=True)
    return index, replace(report, others=others)


def moved(client: OpenSearch, index: str, request: Request, alias: str, files: Files, progress: Progress) -> str:
    """Switches the alias, if all is there. Raises Interrupted where that is asked to stop."""
    if request.limit is not None:
        return f"'{alias}' was not switched to '{index}', which --limit keeps incomplete."
    retry = Retry(request.retry_timeout, progress)
    old = switch(client, alias, index, files if request.prune else None, retry)
    if old is None:
        return f"'{alias}' names '{index}'."
    done = f"'{alias}' names '{index}'; '{old}' stays until you delete it."
    with translate_errors(address(client)):
        outdated = retry.ask(partial(template_is_outdated, client, alias, old, index))
    again = f"run `sorce plugin install --index {alias}` again."
    return f"{done} Searches that the cluster encodes still rank by the recipe before: {again}" if outdated else done


def work(
    client: OpenSearch, index: str, request: Request, model: Model[Any], files: Files, progress: Progress
) -> Report:
    sources = islice(files, request.limit)
    options = Options(request.attributes, request.force, request.workers, request.retry_timeout)
    if request.dry_run:
        report = rehearse(client, index, model.recipe, sources, options, progress)
    else:
        report = ingest_photos(client, index, model, sources, options, progress)
    if not request.prune or report.stopped:
        return report
    remove = count_gone if request.dry_run else prune
    pruned = remove(client, index, files, Retry(request.retry_timeout, progress))
    return replace(report, pruned=pruned, stopped=progress.stop.is_set())


def told(request: Request, index: str, report: Report) -> str:
    if request.as_json:
        facts = {"index": index, "dry_run": request.dry_run, "photos_per_second": report.photos_per_second}
        return json.dumps({**facts, **asdict(report)})
    return f"would be: {report}" if request.dry_run else str(report)
