"""`sorce plan`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import click

from sorce.mappings.compression import FLOAT32
from sorce.mappings.limits import MAX_NESTED
from sorce.models.catalogue import KNOWN, duration
from sorce.models.methods import DEFAULT_MODEL, DEFAULT_REGIONS, METHODS
from sorce.options import FiniteRange, as_json, compression
from sorce.sizing import FREE, MAX_HEAP, MAX_SHARDS, SHARD, Needs, Planned, needs

MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}

RATES: Mapping[tuple[str, str], float] = {("mini", "tiles"): 2.8, (DEFAULT_MODEL, "tiles"): 0.046}
"""Photos per second that were measured on two cores, for a model and a regions method with its default parameters."""

GB = 1e9

MOST = 10**12
"""More photos than that are a mistake."""
MAX_DIMENSION = 16_000
"""OpenSearch's limit."""

ALL_IN_CACHE = "All vectors and graphs fit into the cache of the nodes; with less memory, searches wait for the disk."
ROUGH_IN_CACHE = (
    "All graphs with their compressed vectors fit into the cache of the nodes; the vectors of the photos that a search "
    "compares exactly, 100 by default, are read from the disk, which should be an SSD."
)


def count(_context: click.Context, _option: click.Parameter, text: str) -> int:
    """A number of photos, such as 250000, 250k, 1.5M or 2B. Raises click.BadParameter."""
    parts = re.fullmatch(r"(\d[\d_,]*(?:\.\d+)?)([kmb]?)", text, re.IGNORECASE)
    number = 0 if parts is None else float(re.sub("[_,]", "", parts[1])) * MULTIPLES[parts[2].lower()]
    if not 1 <= number <= MOST:
        raise click.BadParameter(
            f"'{text}' is not a number of photos from 1 to 1000B; write it like 250000, 250k or 10M."
        )
    return int(number)


@click.command()
@click.option(
    "--photos", callback=count, metavar="NUMBER", required=True, help="How many photos, such as 250000, 250k or 10M."
)
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="A model that `sorce models` lists.")
@click.option("--regions", type=click.Choice(sorted(METHODS)), default=DEFAULT_REGIONS, show_default=True)
@click.option(
    "--max-regions",
    type=click.IntRange(1, MAX_NESTED),
    help="Regions that are stored per photo.  [default: the method's]",
)
@click.option(
    "--dimension",
    type=click.IntRange(1, MAX_DIMENSION),
    help="Numbers of a vector, for a model that is not listed, or to cut to.",
)
@click.option("--replicas", type=click.IntRange(0, 1000), default=1, show_default=True, help="Copies of each shard.")
@click.option(
    "--node-memory", type=FiniteRange(4), default=64.0, show_default=True, metavar="GB", help="Memory of a node."
)
@compression
@click.option(
    "--workers", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="How many processes ingest."
)
@click.option(
    "--rate",
    type=FiniteRange(1e-6, 1e6),
    help="Photos per second of one worker, as `sorce ingest --limit 100` prints it.",
)
@as_json
def plan(
    photos: int,
    model: str,
    regions: str,
    max_regions: int | None,
    dimension: int | None,
    replicas: int,
    node_memory: float,
    compression: str,
    workers: int,
    rate: float | None,
    as_json: bool,
) -> None:
    """How large an index of so many photos becomes, and what cluster and time it needs.

    The sizes are calculated from measured ones. No cluster is asked, and no model is loaded.

    \b
        sorce plan --photos 10M
        sorce plan --photos 250k --model mini --regions clusters --rate 12 --workers 4
        sorce plan --photos 1M --model ./my-clip --dimension 512 --replicas 0
        sorce plan --photos 100M --compression 4x
    """
    stored = max_regions or METHODS[regions].per_photo
    numbers = dimension_of(model, regions, dimension)
    known = RATES.get((model, regions)) if max_regions is None else None
    planned = Planned(
        photos, stored, numbers, replicas, node_memory * GB, workers, rate or known, compression != FLOAT32
    )
    found, assumed = needs(planned), assumptions(planned, regions, measured_rate=rate is None)
    if as_json:
        asked = {"photos": photos, "model": model, "regions_method": regions, "regions_per_photo": stored}
        asked["compression"] = compression
        click.echo(json.dumps({**asked, "dimension": numbers, **found.as_dict(), "assumptions": assumed}))
        return
    for word, value in table(planned, found):
        click.echo(f"{word:<28}{value}")
    click.echo("\nAssumed:")
    for each in assumed:
        click.echo(f"- {each}")


def dimension_of(model: str, regions: str, given: int | None) -> int:
    """The numbers of a vector, which may be given. Raises click.UsageError if they are not known, or cannot be."""
    known = next((each for each in KNOWN if each.name == model and regions in each.regions), None)
    if known is None:
        if given is None:
            raise click.UsageError(
                f"`sorce models` does not list '{model}' with {regions}; say with --dimension how many numbers its "
                "vectors have."
            )
        return given
    is_cut = given is not None and given < known.dimension and known.cuts and METHODS[regions].cuts
    if given not in (None, known.dimension) and not is_cut:
        raise click.UsageError(
            f"'{model}' with {regions} has vectors of {known.dimension} numbers, which are not cut to {given}; "
            "leave --dimension out."
        )
    return given or known.dimension


def table(plan: Planned, found: Needs) -> Sequence[tuple[str, str]]:
    """What is printed: a word and a value in each line."""
    at = plan.photos / plan.workers
    speed = "not known; give --rate" if plan.rate is None else f"at {plan.rate:g} photos/s, {at:,.0f} photos a worker"
    return (
        ("photos", f"{plan.photos:,}"),
        ("regions", f"{found.regions:,} ({plan.regions} a photo)"),
        ("vectors", f"{size(found.vector_bytes)} ({plan.dimension} numbers each)"),
        ("index, without replicas", size(found.index_bytes)),
        ("disk, all copies", size(found.disk_bytes)),
        ("cache, all copies", size(found.cached_bytes)),
        ("shards", f"{found.shards:,} {shard_options(found.shards, plan.replicas)}"),
        ("nodes", f"{found.nodes:,} of {size(plan.node_memory)} of memory"),
        ("heap of a node", size(found.heap_bytes_of_a_node)),
        ("cache of a node", size(found.cache_bytes_of_a_node)),
        ("disk of a node", size(found.disk_bytes_of_a_node)),
        ("search, p50", "not measured for this shape" if found.search_ms is None else f"{found.search_ms} ms"),
        ("ingest", speed if found.hours is None else f"{duration(found.hours)} ({speed})"),
    )


def shard_options(shards: int, replicas: int) -> str:
    """How to ask for so many."""
    indices = -(-shards // MAX_SHARDS)
    each = f"--shards {-(-shards // indices)} --replicas {replicas}"
    return f"({each})" if indices == 1 else f"in {indices:,} indices behind one alias (each {each})"


def assumptions(plan: Planned, regions: str, *, measured_rate: bool) -> list[str]:
    """One sentence each."""
    said = [
        f"Each photo has {plan.regions} regions, the most that '{regions}' stores here; smaller photos have fewer.",
        "The bytes of a region and a photo were measured on at most 40,000 photos, and grow in proportion.",
        f"A shard has at most {size(SHARD)}, and an index at most {MAX_SHARDS:,} shards.",
        f"The heap is half of a node's memory, and at most {size(MAX_HEAP)}.",
        ROUGH_IN_CACHE if plan.is_compressed else ALL_IN_CACHE,
        f"A disk is filled to {FREE:.0%} at most.",
    ]
    if plan.replicas:
        said.append("With replicas there are three nodes or more, so that one may fail.")
    if plan.rate is not None and measured_rate:
        said.append("The photos per second were measured on two cores, without a GPU, for photos of 1600 x 1200.")
    if plan.rate is not None and plan.workers > 1:
        said.append("The workers do not wait for each other, nor for the cluster.")
    return said


def size(of: float) -> str:
    """Bytes in the unit that suits."""
    units = (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6))
    unit, factor = next((each for each in units if of >= 0.9995 * each[1]), ("kB", 1e3))
    number = of / factor
    return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
