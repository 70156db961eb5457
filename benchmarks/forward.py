"""The encoder, and ingest, compared with the bare network on the same crops, for a model of production size.

For `mini`, ingest is compared with sorce's encoder alone. `plain` compares it with the encoder that a plain loop would
use.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from figures import Line, at_most, not_taken
from opensearchpy import OpenSearch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from sorce.cluster import connect
from sorce.engine import running
from sorce.index import Index
from sorce.ingest import Report
from sorce.models.bfloat16 import computes_bfloat16
from sorce.models.checkpoint import find
from sorce.models.encoder import Encoder
from sorce.models.image_processor import View
from sorce.models.tiles import Tiles
from sorce.models.tiling import TileSettings
from sorce.pictures.loading import open_picture
from training.scenes.bundled import FOLDER

BATCH = 64
PHOTOS, MAX_REGIONS = 8, 40
"""The default is up to 250 regions per photo. With it, a round would take minutes."""
ROUNDS = 7
STAGES = ("decode", "encode", "write")
BASE: Mapping[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 256,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
}
"""The settings of a picture tower as large as SigLIP2-base's."""

Alone = Callable[[Sequence[View]], Callable[[], None]]
"""Prepares these crops, and returns what encodes them."""


def measures() -> Iterator[Line]:
    with TemporaryDirectory() as folder, running() as url:
        production = Tiles(
            Encoder(find(str(base(Path(folder))))),
            TileSettings(min_object_size=0.05, max_regions=MAX_REGIONS, max_stored=MAX_REGIONS),
        )
        network = bare_network(production.encoder, Path(folder))
        yield from direct(production.encoder, network)
        client, mini = connect(url), Tiles(Encoder(find("mini")))
        yield from of("SigLIP2-base's size", production, ("the network", network), client, bar=1.05)
        yield from of("mini", mini, ("the encoder", lambda views: lambda: embed(mini.encoder, views)), client, bar=None)


def of(name: str, model: Tiles, other: tuple[str, Alone], client: OpenSearch, bar: float | None) -> Iterator[Line]:
    pictures = sorted(FOLDER.glob("*.jpg"))[:PHOTOS]
    views = [view for picture in pictures for view in model.prepare(open_picture(picture)).views]
    index, reports = f"forward-{model.recipe.revision[-6:]}", list[Report]()

    alone, bare = other[0], other[1](views)

    def ingest() -> None:
        reports.append(Index(client, f"{index}-{len(reports)}", lambda: model).ingest(pictures))

    bare()
    ratios = []
    for number in range(ROUNDS):
        first, second = (ingest, bare) if number % 2 else (bare, ingest)
        seconds = {each: timed(each) for each in (first, second)}
        ratios.append(seconds[ingest] / seconds[bare])
    note = f"{len(views)} crops, {ROUNDS} rounds from {min(ratios):.3f} to {max(ratios):.3f}"
    line, ratio = f"ingest, {name}: time / that of {alone} alone", statistics.median(ratios)
    yield Line(line, ratio, note=note) if bar is None else at_most(line, ratio, bar, note)
    for stage in STAGES:
        shares = [getattr(report, stage) / report.seconds for report in reports]
        yield Line(f"ingest, {name}: share of the time that {stage} works", statistics.median(shares))


def embed(encoder: Encoder, views: Sequence[View]) -> None:
    encoder.embed_views(views)


def bare_network(encoder: Encoder, folder: Path) -> Alone:
    """The same network by transformers alone, in bfloat16 where this CPU computes it. Its input is made before."""
    dtype = torch.bfloat16 if computes_bfloat16(torch.device("cpu")) else torch.float32
    network: Any = CLIPModel.from_pretrained(folder, dtype=dtype)

    def on(views: Sequence[View]) -> Callable[[], None]:
        batches = [
            encoder.image_processor.features(views[first : first + BATCH])["pixel_values"].to(dtype)
            for first in range(0, len(views), BATCH)
        ]

        def run() -> None:
            with torch.inference_mode():
                for pixels in batches:
                    network.get_image_features(pixel_values=pixels)

        return run

    return on


def direct(encoder: Encoder, network: Alone) -> Iterator[Line]:
    """A batch of pictures, against the same network with its weights in bfloat16, called directly."""
    name = "pictures, SigLIP2-base's size: {} / the network in bfloat16, directly"
    if not computes_bfloat16(torch.device("cpu")):
        yield not_taken(name.format("time"), "this CPU does not compute bfloat16")
        return
    views = list(np.random.default_rng(0).integers(0, 256, (BATCH, 256, 256, 3), np.uint8))
    bare = network(views)

    def ours() -> None:
        embed(encoder, views)

    bare()
    ours()
    walls, cpus = [], []
    for number in range(ROUNDS):
        taken = {each: both_times(each) for each in ((ours, bare) if number % 2 else (bare, ours))}
        walls.append(taken[ours][0] / taken[bare][0])
        cpus.append(taken[ours][1] / taken[bare][1])
    yield at_most(name.format("time"), statistics.median(walls), 1.05, spread(walls))
    yield Line(name.format("CPU time"), statistics.median(cpus), note=spread(cpus))


def spread(ratios: list[float]) -> str:
    return f"{len(ratios)} rounds from {min(ratios):.3f} to {max(ratios):.3f}"


def both_times(what: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and of all cores."""
    started = time.process_time()
    return timed(what), time.process_time() - started


def timed(what: Callable[[], None]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def base(folder: Path) -> Path:
    """A picture tower as large as google/siglip2-base-patch16-256's."""
    return network_like(folder, BASE)


def network_like(folder: Path, tower: Mapping[str, Any]) -> Path:
    """Random weights: a picture tower with these settings of a CLIP's, and the text tower of `mini`."""
    mini = find("mini").place
    config = CLIPConfig.from_pretrained(mini)
    vision: Any = config.vision_config
    vision.update(tower)
    CLIPModel(config).save_pretrained(folder)
    side = {"height": tower["image_size"], "width": tower["image_size"]}
    images = CLIPImageProcessor(size=side, do_center_crop=False)
    images.save_pretrained(folder)
    CLIPTokenizer.from_pretrained(mini).save_pretrained(folder)
    return folder
