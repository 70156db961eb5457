"""`sorce evaluate`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TextIO

import click
from opensearchpy import OpenSearch
from tqdm import tqdm  # type: ignore[import-untyped]

from sorce import options
from sorce.cluster import address, translate_errors
from sorce.errors import SorceError
from sorce.evaluate.ground_truth import GroundTruth, LabelledQuery
from sorce.evaluate.keeping import Evaluation
from sorce.evaluate.keeping import keep_results as write_results
from sorce.evaluate.report import as_json as results_as_json
from sorce.evaluate.report import table
from sorce.evaluate.retrievers import listed
from sorce.evaluate.run import BENCHMARKS, OF_BOXES, BenchmarkRun, RecipeResult
from sorce.locate import ZOOM, open_localiser
from sorce.mappings import Localiser
from sorce.mappings.recipe import Plain
from sorce.models import DEFAULT_MODEL, DEFAULT_REGIONS, Model, load_model, parse_parameters
from sorce.models.methods import Runtime, method_settings
from sorce.options import Cluster, cluster
from sorce.pictures.drawing import make_folder

DONE_WITH_REJECTS = 3


@dataclass(frozen=True, slots=True)
class ModelSetup:
    """A model and a regions method, as given on the command line."""

    model: str
    regions: str
    parameters: Mapping[str, Plain]
    name: str


def model_setups(models: Sequence[str], regions: Sequence[str], dimension: int | None = None) -> list[ModelSetup]:
    """Each model with each regions method, which is written `tiles` or `tiles:max_regions=90`.

    Raises ModelError, before any of them runs, if a method cannot be set up so.
    """
    found = []
    for model, each in product(dict.fromkeys(listed(models)), dict.fromkeys(listed(regions))):
        method, _, given = each.partition(":")
        parameters = parse_parameters(method, given.split(",") if given else [])
        method_settings(method, parameters, dimension)
        found.append(ModelSetup(model, method, parameters, f"{model} {each}"))
    return found


@click.command()
@click.argument("benchmark", type=click.Choice(list(BENCHMARKS)))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--ground-truth",
    "truth",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The label file (yolo: the file of the class names).  [default: the one in FOLDER]",
)
@click.option(
    "--model", "models", multiple=True, default=[DEFAULT_MODEL], show_default=True, help="As for ingest; repeatable."
)
@click.option(
    "--regions",
    multiple=True,
    default=[DEFAULT_REGIONS],
    show_default=True,
    metavar="METHOD[:NAME=VALUE,...]",
    help="How a photo becomes regions, with parameters as `sorce models list` lists them; repeatable.",
)
@click.option(
    "--localiser",
    metavar="NAME",
    help="Look at each photo again, with zoom, a folder or a name.  [default in locate: zoom]",
)
@click.option("--exact", is_flag=True, help="Compare all regions in memory, without OpenSearch.")
@cluster
@click.option(
    "--dimension",
    type=click.IntRange(1),
    help="Cut the vectors to this many numbers, if the model was trained for that.",
)
@options.device
@options.trust_remote_code
@click.option(
    "--keep-results", is_flag=True, help="Write each question's result to the cluster's index sorce-quality-*."
)
@click.option("--keep", is_flag=True, help="Leave the index of each recipe in the cluster.")
@click.option(
    "--save", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Draw found and missed queries."
)
@click.option("--out", type=click.File("w", lazy=False), metavar="FILE", help="Write the results as JSON here, too.")
@options.as_json
def evaluate(
    benchmark: str,
    folder: Path,
    truth: Path | None,
    models: Sequence[str],
    regions: Sequence[str],
    exact: bool,
    cluster: Cluster,
    keep_results: bool,
    keep: bool,
    save: Path | None,
    out: TextIO | None,
    as_json: bool,
    **how: Any,
) -> int:
    """Measure how well photos and boxes are found, by a published protocol, for one or several recipes side by side.

    \b
    FOLDER holds the pictures and the label file of BENCHMARK:
      sorce-1k  dataset.jsonl beside full_res, zoom_2x and zoom_3x: recall, text to image and back
      coco      JSON of COCO, LVIS or Objects365: class names, by retrieval mAP over the first 50 photos
      yolo      a text file per picture (boxes, polygons, poses), and data.yaml: the same
      lines     labels.jsonl, {"image", "objects": [{"label", "box"}]}: the same
      sorec     a JSON list of expressions: Acc50, Acc75, mAcc
      locate    labels as of coco or yolo; asks where in its photo the object of each class is

    The pictures go into a new index, which is removed at the end. Brackets hold the 95 % interval over queries
    (bootstrap). Bad rows of the label file are left out, with a note. The exit code is 3 if pictures were rejected.

    \b
        sorce evaluate lines ./photos --model mini --regions tiles --regions whole --save drawn
        sorce evaluate coco ./val2017 --ground-truth instances_val2017.json --regions tiles:max_regions=90 --exact
        sorce evaluate locate ./shelves --model mini --localiser zoom
    """
    if exact and keep:
        raise click.UsageError("--exact makes no index to keep; leave one of the two out.")
    setups = model_setups(models, regions, how["dimension"])
    localiser = _localiser(benchmark, how)
    run = _read(benchmark, folder, truth, save)
    with _client(exact, cluster) as client:
        run = replace(run, client=client, keep=keep, progress=_progress, localiser=localiser)
        engine, results = _engine(run), _run_all(setups, run, partial(load_model, **how), save)
    if keep_results:
        _keep(cluster, Evaluation(benchmark, engine), run.truth, results)
    return _report(results_as_json(benchmark, engine, run.truth.remarks, results), results, out, as_json)


def _keep(cluster: Cluster, evaluation: Evaluation, truth: GroundTruth, results: Mapping[str, RecipeResult]) -> None:
    with cluster.client() as client:
        index = write_results(client, evaluation, truth, results)
    click.echo(f"each question's result is in index '{index}', as evaluation {evaluation.evaluation}.", err=True)


def _localiser(benchmark: str, how: dict[str, Any]) -> Callable[[Model[Any]], Localiser] | None:
    """What opens the localiser for a model, if there is to be one; its name is taken out of `how`."""
    name = how.pop("localiser") or (ZOOM if benchmark == "locate" else None)
    if name is None:
        return None
    if benchmark not in OF_BOXES:
        raise click.UsageError(
            f"--localiser is only for {' and '.join(OF_BOXES)}, which ask for a box in a given photo; leave it out."
        )
    opened: dict[str, Localiser] = {}

    def localiser(model: Model[Any]) -> Localiser:
        # A detector is loaded once for all recipes; `zoom` looks with each recipe's own model.
        if name == ZOOM or not opened:
            opened[name] = open_localiser(name, lambda: model, Runtime(how["device"]), how["trust_remote_code"])
        return opened[name]

    return localiser


def _read(benchmark: str, folder: Path, truth: Path | None, drawings: Path | None) -> BenchmarkRun:
    """Reads the label file and prints its remarks. Raises GroundTruthError, SorceError."""
    if drawings is not None:
        # Checked before the run, which may take hours.
        make_folder(drawings)
    run = BenchmarkRun.of(benchmark, folder, truth)
    for sentence in run.truth.remarks:
        click.echo(f"note: {sentence}", err=True)
    return run


def _run_all(
    setups: Sequence[ModelSetup],
    run: BenchmarkRun,
    load: Callable[[str, str, Mapping[str, Plain]], Model[Any]],
    drawings: Path | None,
) -> dict[str, RecipeResult]:
    results, how = {}, _engine(run)
    for setup in setups:
        size = f"{len(run.truth.pictures):,} pictures, {len(run.truth.queries):,} queries"
        click.echo(f"{setup.name}: {size}; {how}", err=True)
        model = load(setup.model, setup.regions, setup.parameters)
        results[setup.name] = run(model, None if drawings is None else drawings / _file_name(setup.name))
    return results


def _engine(run: BenchmarkRun) -> str:
    """How the run searches, in words."""
    return "exact, in memory" if run.client is None else f"OpenSearch {run.client.info()['version']['number']}"


def _report(found: dict[str, object], results: Mapping[str, RecipeResult], out: TextIO | None, as_json: bool) -> int:
    """Prints the results, and returns the exit code."""
    if out is not None:
        _write(out, json.dumps(found, indent=1) + "\n")
    click.echo(json.dumps(found) if as_json else table(results))
    for name, result in results.items():
        if result.cost.index is not None:
            click.echo(f"{name}: kept as index '{result.cost.index}'.", err=True)
        for sentence in result.remarks:
            click.echo(f"{name}: {sentence}", err=True)
        if result.rejected:
            click.echo(f"{name}: {len(result.rejected):,} pictures were rejected, and count as not found.", err=True)
    return DONE_WITH_REJECTS if any(result.rejected for result in results.values()) else 0


def _write(out: TextIO, text: str) -> None:
    """Raises SorceError. The file is flushed here, since click reports no error when it closes a file."""
    try:
        out.write(text)
        out.flush()
    except OSError as error:
        raise SorceError(
            f"the results cannot be written into '{out.name}': {error.strerror}; name another file with --out."
        ) from error


@contextmanager
def _client(exact: bool, cluster: Cluster) -> Iterator[OpenSearch | None]:
    if exact:
        yield None
    else:
        with cluster.connect() as client, translate_errors(address(client)):
            yield client


def _progress(queries: Sequence[LabelledQuery]) -> Iterable[LabelledQuery]:
    yield from tqdm(queries, unit=" texts", file=sys.stderr, disable=None)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.=-]+", "-", name).strip("-")
