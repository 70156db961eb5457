"""Ingest against the bare network on the same crops, with an encoder of the size that production uses."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from figures import Line, at_most
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from sorce.cluster import connect
from sorce.engine import running
from sorce.evaluate.scenes.bundled import FOLDER
from sorce.index import Index
from sorce.models.checkpoint import find
from sorce.models.encoder import Encoder
from sorce.models.tiles import Tiles
from sorce.models.upright import open_upright

PHOTOS, MOST = 8, 9
ROUNDS = 7


def measures() -> Iterator[Line]:
    pictures = sorted(FOLDER.glob("*.jpg"))[:PHOTOS]
    with TemporaryDirectory() as folder, running() as url:
        model = Tiles(Encoder(find(str(base(Path(folder))))), smallest=0.1, most=MOST, kept=MOST)
        client = connect(url)
        views = [view for picture in pictures for view in model.prepare(open_upright(picture)).views]
        model.encoder.embed_views(views[: 2 * MOST])
        bare, ours = [], []
        for number in range(ROUNDS):
            started = time.perf_counter()
            model.encoder.embed_views(views)
            bare.append(time.perf_counter() - started)
            started = time.perf_counter()
            Index(client, f"forward-{number}", lambda: model).ingest(pictures)
            ours.append(time.perf_counter() - started)
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    note = f"{len(views)} crops, {ROUNDS} rounds from {min(ratios):.3f} to {max(ratios):.3f}"
    yield at_most("ingest, SigLIP2-base's size: time / bare network's", statistics.median(ratios), 1.05, note)


def base(folder: Path) -> Path:
    """Random weights: a picture tower of the size of google/siglip2-base-patch16-256's beside `mini`'s text tower."""
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
