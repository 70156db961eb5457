"""The encoder on a GPU in half precision: photos from file to document, compared with the bare network.

Both see the same crops. Nothing is written to a cluster: that takes no GPU, and `writing` and `forward` measure it. All
of it takes at most six minutes; on a slow GPU fewer photos are taken.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from figures import Line, at_most, not_taken
from forward import BASE, network_like
from transformers import CLIPModel

from sorce.ingest import Report
from sorce.ingest.compare import Job
from sorce.ingest.decode import Decoder, Wanted
from sorce.ingest.encode import Encode, Pace, encoded
from sorce.ingest.pipeline import as_ready, default_workers, threads
from sorce.ingest.report import Watch
from sorce.ingest.stats import Stats
from sorce.models.batches import Batches
from sorce.models.checkpoint import find
from sorce.models.encoder import Encoder
from sorce.models.image_processor import View
from sorce.models.tiles import Tiles
from sorce.models.tiling import TileSettings
from sorce.pictures.files import Naming
from sorce.pictures.loading import open_picture
from sorce.pictures.source import Source
from training.scenes.bundled import FOLDER

LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
SIZES: Mapping[str, Mapping[str, Any]] = {
    "SigLIP2-base's size": BASE,
    "ViT-L's size": LARGE | {"image_size": 224, "patch_size": 14, "hidden_act": "quick_gelu"},
}
BATCHES = (16, 32, 64, 128, 256, 512)
ROUNDS = 5
MAX_REGIONS = 100
SECONDS = 12.0
"""About how long the bare network takes for all photos: with two sizes, five rounds and both ways, four minutes."""
FEWEST, BLOCK, MOST = 8, 64, 512
"""Photos. The bare network sees the crops of a block again and again: those of all would need too much memory."""


def measures() -> Iterator[Line]:
    if not torch.cuda.is_available():
        yield not_taken("gpu: SigLIP2-base's size and ViT-L's size, half precision", "this machine has no CUDA GPU")
        return
    for name, tower in SIZES.items():
        yield from of(name, tower, torch.device("cuda"))


def of(name: str, tower: Mapping[str, Any], device: torch.device, seconds: float = SECONDS) -> Iterator[Line]:
    """`seconds` is about how long the bare network takes for all photos."""
    with TemporaryDirectory() as folder:
        place = str(network_like(Path(folder), tower))
        encoder = Encoder(find(place), str(device))
        opened: Any = CLIPModel.from_pretrained(place, dtype=encoder.model.dtype)
        network = opened.to(device).eval()
    settings = TileSettings(max_regions=MAX_REGIONS, max_stored=MAX_REGIONS)
    scenes = sorted(FOLDER.glob("*.jpg"))[:FEWEST]
    of_scenes = [Tiles(encoder, settings).prepare(open_picture(scene)).views for scene in scenes]
    speeds = batch_speeds(encoder, network, [view for views in of_scenes for view in views])
    best = max(speeds, key=lambda size: speeds[size])
    note = ", ".join(f"{size}: {speed:.0f}" for size, speed in speeds.items())
    yield Line(f"gpu, {name}: best batch size", best, note=f"{encoder.model.dtype}; crops/s of the network by {note}")
    crops = sum(map(len, of_scenes)) / len(scenes)
    photos = max(FEWEST, min(MOST, int(seconds * speeds[best] / crops)))
    block = min(photos, BLOCK)
    times = photos // block
    views = [view for some in islice(cycle(of_scenes), block) for view in some]
    sources = list(islice(cycle(sources_of(scenes)), times * block))
    bare = alone(encoder, network, views, best, times)
    encoder.batches = Batches(device, best)
    model = Tiles(encoder, settings)
    yield from compared(name, lambda: documents(model, sources), bare, times * len(views))


def compared(name: str, ours: Callable[[], Report], bare: Callable[[], None], crops: int) -> Iterator[Line]:
    ours()
    ratios, reports = [], []
    for number in range(ROUNDS):
        if number % 2:
            report, seconds = ours(), timed(bare)
        else:
            seconds, report = timed(bare), ours()
        reports.append(report)
        ratios.append(report.seconds / seconds)
    note = f"{crops:,} crops, {ROUNDS} rounds from {min(ratios):.3f} to {max(ratios):.3f}"
    yield Line(
        f"gpu, {name}: photos/s, file to document", statistics.median(each.new / each.seconds for each in reports)
    )
    yield at_most(
        f"gpu, {name}: file to document, time / that of the network alone", statistics.median(ratios), 1.05, note
    )
    for stage in ("decode", "encode"):
        shares = [getattr(report, stage) / report.seconds for report in reports]
        note = f"of {default_workers()} threads" if stage == "decode" else ""
        yield Line(f"gpu, {name}: share of the time that {stage} works", statistics.median(shares), note=note)


def batch_speeds(encoder: Encoder, network: Any, views: Sequence[View]) -> dict[int, float]:
    """Crops per second of the bare network, by the number of crops in a batch."""
    speeds = {}
    for size in BATCHES:
        some = list(islice(cycle(views), 4 * size))
        speeds[size] = len(some) / min(timed(alone(encoder, network, some, size)) for _ in range(2))
    return speeds


def alone(encoder: Encoder, network: Any, views: Sequence[View], size: int, times: int = 1) -> Callable[[], None]:
    """The network by transformers alone, `times` over all views. Its input is on the GPU before."""
    batches = [
        encoder.image_processor.features(views[first : first + size])["pixel_values"]
        for first in range(0, len(views), size)
    ]

    def run() -> None:
        with torch.inference_mode():
            for pixels in batches * times:
                network.get_image_features(pixel_values=pixels)

    run()
    return run


def documents(model: Tiles, sources: Sequence[Source]) -> Report:
    """All stages of ingest before writing: read, decoded, cut, encoded, made a document."""
    wanted, workers = Wanted(model.recipe.hash, {}), default_workers()
    watch, pace = Watch(), Pace(workers)
    stats, new = Stats(watch, workers), 0
    with Decoder(model.prepare, wanted, workers) as decode, threads(workers) as pool:
        ready = as_ready(pool, decode, (Job(source, None) for source in sources), pace)
        for batch in encoded(Encode(model, None, wanted), ready, pace, watch):
            stats.add(batch)
            new += len(batch.writes)  # type: ignore[union-attr]
    report = stats.report()
    return Report(new=new, seconds=report.seconds, decode=report.decode, encode=report.encode)


def sources_of(files: Sequence[Path]) -> Iterator[Source]:
    for file in files:
        source = Naming().source(file)
        assert isinstance(source, Source)
        yield source


def timed(what: Callable[[], None]) -> float:
    finish()
    started = time.perf_counter()
    what()
    finish()
    return time.perf_counter() - started


def finish() -> None:
    """A GPU's work goes on after the call that started it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
