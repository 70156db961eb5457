"""Runs a training: steps with a progress bar, checkpoints, accuracy on held-out expressions, and the saved PIZA."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

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
    """The mean loss of the last steps, and the share of held-out expressions found at IoU 0.5 (None without any)."""

    loss: float
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
            shown = {} if acc50 is None else {"acc50": f"{acc50:.3f}"}
            bar.set_postfix(loss=f"{sum(losses) / len(losses):.3f}", **shown)
    acc50 = accuracy(learner.detector, held_out) if acc50 is None else acc50
    save(learner.detector.network, tokenizer, folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return Trained(sum(losses) / len(losses) if losses else float("nan"), acc50, len(held_out))


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
    [located] = piza.locate([LocateRequest(open_picture(expression.photo), expression.text)])
    return located.box.iou(expression.box)
