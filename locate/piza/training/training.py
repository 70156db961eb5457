"""Puts a training together from the command's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from sorce.errors import ModelError
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.lora import RANK
from sorce.locate.piza.settings import ADAPTERS, AdapterKind, PizaSettings
from sorce.locate.piza.training.annotations import read_expressions, split
from sorce.locate.piza.training.learning import Learner
from sorce.locate.piza.training.plan import TrainingPlan
from sorce.locate.piza.training.running import Trained, run
from sorce.locate.piza.training.starting import start
from sorce.models.loading import pick_device
from sorce.pictures.drawing import make_folder, writing

BOTTLENECK = 256
"""The published width in the adapters."""
SHAPE = 800 / 1333
"""The shorter side as a share of the longer one, in the released resize rule."""


def trained(labels: Path, photos: Path, out: Path, options: Mapping[str, Any]) -> Trained:
    """Reads, trains and writes. Raises SorceError."""
    make_folder(out)
    # The first checkpoint comes late: whether it can be written is known before.
    with writing(out), TemporaryFile(dir=out):
        pass
    device = pick_device(options["device"])
    if options["processes"] > 1 and device.type != "cpu":
        raise ModelError(f"several processes share a step on the CPU only; on '{device}', leave --processes out.")
    training, held_out = split(read_expressions(labels, photos, partial(click.echo, err=True)), options["held_out"])
    opened = start(options["base"], new_settings(options["adapter"] or ADAPTERS[0], options["bottleneck"]))
    network: Any = opened.network
    refuse_others(network.settings, options)
    if longest := options["longest"]:
        network.settings = replace(network.settings, longer=longest, shorter=max(1, round(longest * SHAPE)))
    network.settings = replace(network.settings, steps=options["looks"] or network.settings.steps)
    plan = TrainingPlan(
        steps=options["steps"],
        base_steps=options["train_base"],
        batch=options["batch"],
        rate=options["rate"],
        seed=options["seed"],
        share=options["share"],
    )
    detector = PizaDetector(network.to(device), opened.tokenizer, opened.name)
    with Learner(detector, training, plan, options["processes"]) as learner:
        learner.resume(out)
        return run(learner, opened.tokenizer, held_out, out, options["every"])


def new_settings(adapter: AdapterKind, bottleneck: int | None) -> PizaSettings:
    """Those of new parts, with the published width or rank unless another one is given."""
    width = bottleneck or (RANK if adapter == "lora" else BOTTLENECK)
    return PizaSettings("evaluation", width, width, adapter=adapter)


def refuse_others(settings: PizaSettings, options: Mapping[str, Any]) -> None:
    """Raises ModelError if the base is a PIZA whose parts differ from what is asked for."""
    for name in ("adapter", "bottleneck"):
        own = getattr(settings, name)
        if options[name] not in (None, own):
            raise ModelError(f"the base is a PIZA with {name} {own}; leave --{name} out, or name another base.")
