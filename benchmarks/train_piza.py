"""Whether `sorce train piza` learns: a small detector of random weights, on rendered scenes, from nothing.

The base learns first, then PIZA's parts. The baseline is the same base, which learns for as many more steps as PIZA,
and looks once at the whole photo. `SORCE_PIZA_MINUTES` is about the time of base and PIZA together, without measuring.
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from figures import Line, at_least, not_taken
from PIL import Image
from swin import save_small_detector

from sorce.evaluate.bootstrap import Metric, mean_over_queries
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.localiser import Piza
from sorce.locate.piza.training.annotations import Expression, read_expressions, split
from sorce.locate.piza.training.learning import Learner
from sorce.locate.piza.training.plan import TrainingPlan
from sorce.locate.piza.training.starting import start
from sorce.locate.piza.training.training import SHAPE, new_settings
from sorce.mappings import Box, LocateRequest
from sorce.pictures.loading import open_picture
from training.coco import labels
from training.mini import bank
from training.scenes.collection import Collection, cached
from training.scenes.compose import Order
from training.scenes.themes import THEMES

TIME = "SORCE_PIZA_MINUTES"
NAMES = ("christmas tree", "film camera", "hamburger", "hen", "pillar box", "police car", "star", "water drop")
"""What is asked for. Their colours differ, so that a small network can tell them apart by few pixels."""
SEED, SCENES, PLANTED, FILLER = 303, 600, 4, 1
"""Each scene has PLANTED things of NAMES, and two of each of FILLER others."""
HELD_OUT = 500
FOR_BASE = 0.88
"""The share of the time in which the base learns."""
LONGEST, BOTTLENECK = 48, 32
BATCH, RATE, PROCESSES = 16, 4e-4, 2
LOOKS, SHARE = 2, 0.2
"""At most so many looks, and a thing's share of its last crop."""
CURVE = 6
"""Points of each curve."""
FEW = 100
"""Held-out expressions at each point."""
TIMED = 20
"""Steps that are timed. As many are taken before: the first ones are slower."""

Finds = Callable[[Expression], Box]


@dataclass
class Run:
    """A training of some steps, and its curve: minutes, mean loss, and Acc50 on a few held-out expressions."""

    learner: Learner
    finds: Finds
    few: Sequence[Expression]

    def learn(self, steps: int, name: str) -> Iterator[Line]:
        losses, started = list[float](), time.monotonic()
        measuring = 0.0
        for number in range(1, steps + 1):
            losses.append(self.learner.learn())
            if number % max(1, steps // CURVE) == 0:
                before = time.monotonic()
                found = accuracy(self.finds, self.few)
                measuring += time.monotonic() - before
                minutes = (time.monotonic() - started - measuring) / 60
                note = f"step {self.learner.step:,}, {minutes:.1f} minutes, loss {np.mean(losses[-200:]):.2f}"
                yield Line(f"train piza, {name}: Acc50 on {len(self.few)}", found.value, note=note)


def measures() -> Iterator[Line]:
    minutes = float(os.environ.get(TIME, "0"))
    if not minutes:
        yield not_taken("train piza: Acc50 with zoom", f"{TIME} says for how many minutes, such as 90")
        return
    with TemporaryDirectory() as folder:
        yield from learned(minutes, *prepared(Path(folder)))


def learned(minutes: float, expressions: list[Expression], detector: PizaDetector) -> Iterator[Line]:
    training, held_out = split(expressions, HELD_OUT)
    few = held_out[:: max(1, len(held_out) // FEW)][:FEW]
    step = seconds_of_a_step(detector, training)
    base_steps = int(minutes * 60 * FOR_BASE / step)
    steps = int(minutes * 60 * (1 - FOR_BASE) / step)
    plan = TrainingPlan(steps, base_steps, BATCH, RATE, clip=1.0, seed=SEED, share=SHARE)
    yield Line("train piza: expressions to learn", len(training), note=f"{len(held_out)} held out; {step:.2f} s a step")
    with Learner(detector, training, plan, PROCESSES) as learner:
        yield from Run(learner, once(detector), few).learn(base_steps, "base")
        longer = copy.deepcopy(detector)
        yield from Run(learner, zooming(detector), few).learn(steps, "with zoom")
    more = replace(plan, steps=1, base_steps=steps, seed=SEED + 1)
    with Learner(longer, training, more, PROCESSES) as learner:
        yield from Run(learner, once(longer), few).learn(steps, "base for as long")
    zoom, base = accuracy(zooming(detector), held_out), accuracy(once(longer), held_out)
    assert zoom.value is not None
    assert base.value is not None
    assert zoom.low is not None
    assert base.high is not None
    yield at_least("train piza: Acc50 with zoom", zoom.value, 0.15, said(zoom))
    yield at_least("train piza: Acc50 with zoom / of the base at a single pass", ratio(zoom, base), 2, said(base))
    yield at_least("train piza: low end with zoom less high end of the base", zoom.low - base.high, 0)


def prepared(folder: Path) -> tuple[list[Expression], PizaDetector]:
    """The expressions of the rendered scenes, and a detector of random weights that knows their words."""
    torch.manual_seed(SEED)
    others = [concept.name for concept in bank.concepts() if concept.name not in NAMES]
    rng = np.random.default_rng(SEED)
    filler = tuple(rng.permutation(others)[:FILLER].tolist())
    orders = [
        Order(THEMES[number % len(THEMES)], tuple(rng.permutation(NAMES)[:PLANTED].tolist()), bank.SEEN, filler)
        for number in range(SCENES)
    ]
    scenes = cached(Collection(SEED, bank.SEEN, NAMES, tuple(orders)))
    coco = labels((scenes / "labels.jsonl").read_text().splitlines())
    wanted = {each["id"] for each in coco["categories"] if each["name"] in NAMES}
    coco["annotations"] = [each for each in coco["annotations"] if each["category_id"] in wanted]
    (folder / "labels.json").write_text(json.dumps(coco))
    expressions = read_expressions(folder / "labels.json", smaller(scenes, folder / "photos"))
    words = sorted({word for name in NAMES for word in name.lower().replace("-", " ").split()})
    opened = start(str(save_small_detector(folder / "base", words)), new_settings("adapter+", BOTTLENECK))
    network = opened.network
    network.settings = replace(network.settings, longer=LONGEST, shorter=round(LONGEST * SHAPE), steps=LOOKS)
    return expressions, PizaDetector(network, opened.tokenizer, "small")


def smaller(scenes: Path, folder: Path) -> Path:
    """Copies of the photos with half of the sides. Decoding those of 1,600 x 1,200 takes longer than the network."""
    folder.mkdir()
    for scene in scenes.glob("*.jpg"):
        with Image.open(scene) as photo:
            photo.reduce(2).save(folder / scene.name, quality=95)
    return folder


def seconds_of_a_step(detector: PizaDetector, training: Sequence[Expression]) -> float:
    plan = TrainingPlan(1, 2 * TIMED, BATCH, RATE, clip=1.0)
    with Learner(copy.deepcopy(detector), training, plan, PROCESSES) as trial:
        for _ in range(TIMED):
            trial.learn()
        started = time.monotonic()
        for _ in range(TIMED):
            trial.learn()
    return (time.monotonic() - started) / TIMED


def zooming(detector: PizaDetector) -> Finds:
    """What `sorce locate --localiser` finds."""

    def find(expression: Expression) -> Box:
        evaluated(detector)
        return Piza(detector).locate([LocateRequest(open_picture(expression.photo), expression.text)])[0].box

    return find


def once(detector: PizaDetector) -> Finds:
    """The base's best box in the whole photo."""

    def find(expression: Expression) -> Box:
        evaluated(detector).adapted = False
        found = detector.detect(open_picture(expression.photo).image, detector.tokens(expression.text), None)
        detector.network.adapted = True
        return Box(*found.boxes[0].tolist())

    return find


def evaluated(detector: PizaDetector) -> Any:
    """Its network, without dropout; the next step of learning switches it on again."""
    network: Any = detector.network
    return network.eval()


def accuracy(finds: Finds, expressions: Sequence[Expression]) -> Metric:
    """Acc50 with its interval."""
    return mean_over_queries("Acc50", [float(finds(each).iou(each.box) >= 0.5) for each in expressions])


def ratio(zoom: Metric, base: Metric) -> float:
    assert zoom.value is not None
    assert base.value is not None
    return zoom.value / max(base.value, 1 / base.over)


def said(metric: Metric) -> str:
    return f"{metric.value:.3f}, {metric.low:.3f} to {metric.high:.3f}, {metric.over} expressions"
