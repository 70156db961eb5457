"""Ingest compared with the encoder alone on the same crops, for a model of production size and for `mini`.

The encoder is sorce's own. `plain` compares it with the encoder that a plain loop would use.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
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
from sorce.models.tiles import Tiles
from sorce.models.tiling import TileSettings
from sorce.pictures.loading import open_picture
from training.scenes.bundled import FOLDER

PHOTOS, MAX_REGIONS = 8, 40
"""The default is up to 250 regions per photo. With it, a round would take minutes."""
ROUNDS = 7
STAGES = ("decode", "encode", "write")


def measures() -> Iterator[Line]:
    with TemporaryDirectory() as folder, running() as url:
        production = Tiles(
            Encoder(find(str(base(Path(folder))))),
            TileSettings(min_object_size=0.05, max_regions=MAX_REGIONS, max_stored=MAX_REGIONS),
        )
        yield direct(production.encoder, Path(folder))
        client = connect(url)
        yield from of("SigLIP2-base's size", production, client, bar=1.05)
        yield from of("mini", Tiles(Encoder(find("mini"))), client, bar=None)


def of(name: str, model: Tiles, client: OpenSearch, bar: float | None) -> Iterator[Line]:
    pictures = sorted(FOLDER.glob("*.jpg"))[:PHOTOS]
    views = [view for picture in pictures for view in model.prepare(open_picture(picture)).views]
    index, reports = f"forward-{model.recipe.revision[-6:]}", list[Report]()

    def bare() -> None:
        model.encoder.embed_views(views)

    def ingest() -> None:
        reports.append(Index(client, f"{index}-{len(reports)}", lambda: model).ingest(pictures))

    bare()
    ratios = []
    for number in range(ROUNDS):
        first, second = (ingest, bare) if number % 2 else (bare, ingest)
        seconds = {each: timed(each) for each in (first, second)}
        ratios.append(seconds[ingest] / seconds[bare])
    note = f"{len(views)} crops, {ROUNDS} rounds from {min(ratios):.3f} to {max(ratios):.3f}"
    line, ratio = f"ingest, {name}: time / that of the encoder alone", statistics.median(ratios)
    yield Line(line, ratio, note=note) if bar is None else at_most(line, ratio, bar, note)
    for stage in STAGES:
        shares = [getattr(report, stage) / report.seconds for report in reports]
        yield Line(f"ingest, {name}: share of the time that {stage} works", statistics.median(shares))


def direct(encoder: Encoder, folder: Path) -> Line:
    """Batches of 64 pictures, against the same network with its weights in bfloat16, called directly."""
    name = "pictures, SigLIP2-base's size: CPU time / the network in bfloat16, directly"
    if not computes_bfloat16(torch.device("cpu")):
        return not_taken(name, "this CPU does not compute bfloat16")
    views = list(np.random.default_rng(0).integers(0, 256, (64, 256, 256, 3), np.uint8))
    network: Any = CLIPModel.from_pretrained(folder, dtype=torch.bfloat16)
    pixels = encoder.lens.features(views)["pixel_values"].to(torch.bfloat16)

    def bare() -> None:
        with torch.inference_mode():
            network.get_image_features(pixel_values=pixels)

    def ours() -> None:
        encoder.embed_views(views)

    bare()
    ours()
    ratios = []
    for number in range(ROUNDS):
        first, second = (ours, bare) if number % 2 else (bare, ours)
        seconds = {each: cpu_seconds(each) for each in (first, second)}
        ratios.append(seconds[ours] / seconds[bare])
    return at_most(
        name, statistics.median(ratios), 1.05, f"{ROUNDS} rounds from {min(ratios):.3f} to {max(ratios):.3f}"
    )


def cpu_seconds(what: Callable[[], None]) -> float:
    started = time.process_time()
    what()
    return time.process_time() - started


def timed(what: Callable[[], None]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def base(folder: Path) -> Path:
    """Random weights: a picture tower as large as google/siglip2-base-patch16-256's, and the text tower of `mini`."""
    mini = find("mini").place
    config = CLIPConfig.from_pretrained(mini)
    tower = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    vision: Any = config.vision_config
    vision.update(tower | {"image_size": 256, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh"})
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"height": 256, "width": 256}, do_center_crop=False)
    images.save_pretrained(folder)
    CLIPTokenizer.from_pretrained(mini).save_pretrained(folder)
    return folder
