"""Measures of the regions method `clusters`: agreement with the published code, and the cost of a photo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from figures import Line, at_most
from PIL import Image
from transformers import CLIPModel

from sorce.mappings import Picture
from sorce.models.aggregate import divided
from sorce.models.checkpoint import MINI, find
from sorce.models.clusters import Clusters
from sorce.models.dense import CLIP_FEATURES, open_dense
from sorce.models.encoder import Encoder
from sorce.models.patches import CLUSTERS

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "dense-clip-tiny"
# For each array of the fixture: the pixels that it was made from, and how positions are interpolated.
CASES = {"native": ("native", "size"), "other_size": ("other", "size"), "other_scale": ("other", "scale")}
PARITY = 1e-4
SIZE = (1600, 1200)


def measures() -> Iterator[Line]:
    yield parity()
    yield from cost()


def parity() -> Line:
    """The largest deviation of any patch's vector from the released code's vector, in float32 on the CPU."""
    inputs, expected = np.load(GOLDEN / "inputs.npz"), np.load(GOLDEN / "expected.npz")
    clip = CLIPModel.from_pretrained(GOLDEN)
    worst = 0.0
    for features in CLIP_FEATURES:
        for case, (pixels, positions) in CASES.items():
            dense = open_dense(clip, GOLDEN.name, features, positions)
            vectors = dense(torch.from_numpy(inputs[f"pixel_values_{pixels}"])).flatten(1, 2).numpy()
            worst = max(worst, float(np.abs(vectors - expected[f"{case}/{features}"]).max()))
    note = f"{', '.join(CLIP_FEATURES)}; native and other sizes"
    return at_most("clusters: deviation from the released code", worst, PARITY, note)


def cost() -> Iterator[Line]:
    """CPU milliseconds per photo with `mini`: for the network, and for the clustering."""
    model = Clusters(Encoder(find(MINI), "cpu"))
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1] // 50, SIZE[0] // 50, 3), np.uint8)
    seen = model.prepare(Picture(Image.fromarray(noise).resize(SIZE)))
    model.features(seen)
    started = time.process_time()
    features = model.features(seen)
    embedded = time.process_time()
    divided(features, CLUSTERS, "ward")
    done = time.process_time()
    note = f"{features.shape[0]} x {features.shape[1]} patches of a photo of {SIZE[0]} x {SIZE[1]}"
    yield Line("clusters: CPU ms of a photo in the network, mini", 1000 * (embedded - started), note=note)
    yield Line("clusters: CPU ms of a photo in ward", 1000 * (done - embedded), note=f"{CLUSTERS} clusters")
