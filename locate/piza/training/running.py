"""Runs a training: steps with a progress bar, checkpoints, accuracy on held-out expressions, and the saved PIZA."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from sorce.errors import BadPhoto
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.localiser import Piza
from sorce.locate.piza.saving import save
from sorce.locate.piza.training.annotations import Expression
from sorce.locate.piza.training.learning import CHECKPOINT, Learner
from sorce.mappings.located import LocateRequest
from sorce.pictures.loading import open_picture

FOUND = 0.5
"""A box counts as found from this IoU."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The mean loss of the last steps, and the share of held-out expressions found at IoU 0.5.

    `loss` is None if all steps were taken before, `acc50` if no expression is held out.
    """

    loss: float | None
    acc50: float | None
    held_out: int


def run(learner: Learner, tokenizer: Any, held_out: Sequence[Expression], folder: Path, every: int) -> Trained:
    """Goes on to the end of the plan. Each `every` steps it writes a checkpoint, and measures.

    The finished PIZA is in `folder`, in the form that `sorce locate convert` writes.
    """
    losses: list[float] = []
    total, acc50 = learner.plan.total, None
    with tqdm(total=total, initial=learner.step, unit="step", file=sys.stderr, disable=None) as bar:
        while learner.step < total:
            losses = [*losses[-49:], learner.learn()]
            bar.update()
            if learner.step % every == 0 or learner.step == total:
                learner.save(folder)
                acc50 = accuracy(learner.detector, held_out)
                if bar.disable:
                    click.echo(_line(learner.step, total, _mean(losses), acc50), err=True)
            shown = {} if acc50 is None else {"acc50": f"{acc50:.3f}"}
            bar.set_postfix(loss=f"{_mean(losses):.3f}", **shown)
    acc50 = accuracy(learner.detector, held_out) if acc50 is None else acc50
    save(learner.detector.network, tokenizer, folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return Trained(_mean(losses) if losses else None, acc50, len(held_out))


def _mean(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)


def _line(step: int, total: int, loss: float, acc50: float | None) -> str:
    """What a log gets at a checkpoint, where there is no terminal to show the bar."""
    measured = "" if acc50 is None else f", Acc50 {acc50:.3f}"
    return f"step {step:,} of {total:,}: loss {loss:.3f}{measured}"


def accuracy(detector: PizaDetector, expressions: Sequence[Expression]) -> float | None:
    """The share whose box has an IoU of at least 0.5 with the located box."""
    if not expressions:
        return None
    network: Any = detector.network
    piza, was_training = Piza(detector), network.training
    network.eval()
    with torch.random.fork_rng():
        found = [_iou(piza, expression) >= FOUND for expression in expressions]
    network.train(was_training)
    return sum(found) / len(found)


def _iou(piza: Piza, expression: Expression) -> float:
    try:
        photo = open_picture(expression.photo)
    except BadPhoto:
        # It has changed since it was read. Nothing is found in it.
        return 0.0
    [located] = piza.locate([LocateRequest(photo, expression.text)])
    return located.box.iou(expression.box)
