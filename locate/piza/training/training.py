"""Puts a training together from the command's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.settings import PizaSettings
from sorce.locate.piza.training.annotations import read_expressions, split
from sorce.locate.piza.training.learning import Learner, TrainingPlan
from sorce.locate.piza.training.running import Trained, run
from sorce.locate.piza.training.starting import start
from sorce.models.loading import pick_device

SHAPE = 800 / 1333
"""The shorter side as a share of the longer one, in the released resize rule."""


def trained(labels: Path, photos: Path, out: Path, options: Mapping[str, Any]) -> Trained:
    """Reads, trains and writes. Raises GroundTruthError or ModelError."""
    device = pick_device(options["device"])
    training, held_out = split(read_expressions(labels, photos), options["held_out"])
    bottleneck = options["bottleneck"]
    opened = start(options["base"], PizaSettings("evaluation", bottleneck, bottleneck))
    network: Any = opened.network
    if longest := options["longest"]:
        network.settings = replace(network.settings, longer=longest, shorter=max(1, round(longest * SHAPE)))
        network.config.piza = network.settings.as_json()
    plan = TrainingPlan(
        steps=options["steps"],
        base_steps=options["train_base"],
        batch=options["batch"],
        rate=options["rate"],
        seed=options["seed"],
    )
    learner = Learner(PizaDetector(network.to(device), opened.tokenizer, opened.name), training, plan)
    learner.resume(out)
    return run(learner, opened.tokenizer, held_out, out, options["every"])
