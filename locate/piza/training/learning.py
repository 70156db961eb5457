"""The training loop: one step, and checkpoints from which a run goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from sorce.errors import ModelError
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.training.annotations import Expression
from sorce.locate.piza.training.lessons import Lessons, choose_learned
from sorce.locate.piza.training.plan import TrainingPlan
from sorce.locate.piza.training.sharing import Helpers

CHECKPOINT = "training.pt"
FASTER = 10
"""The rate of the history encoder, in rates of the plan. It begins with random weights. At a rate of 5e-4 it was not
sure that any history is complete after 750 steps; at 2e-3, it was of .97 of them."""


class Learner:
    """A network that learns. A run can be resumed, also with another number of `processes`, which share each batch."""

    def __init__(
        self, detector: PizaDetector, expressions: Sequence[Expression], plan: TrainingPlan, processes: int = 1
    ) -> None:
        self.detector, self.plan, self.step = detector, plan, 0
        self.lessons = Lessons(detector, expressions, plan, min(processes, plan.batch))
        self._network = detector.network
        self._optimise(is_base=plan.trains_base(0))
        self._helpers = Helpers(self.lessons)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._helpers.close()

    def learn(self) -> float:
        """Takes one step. Returns the loss before it."""
        if self._of_base != self.plan.trains_base(self.step):
            self._optimise(is_base=not self._of_base)
        for group in self._optimiser.param_groups:
            group["lr"] = group["pace"] * self.plan.rate_at(self.step)
        loss = self._helpers.gradients(self.step)
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss of step {self.step + 1:,} is not a number; start again in a new folder with a lower --rate."
            )
        nn.utils.clip_grad_norm_(self.lessons.learned(), self.plan.clip)
        self._optimiser.step()
        self.step += 1
        return loss

    def save(self, folder: Path) -> None:
        """Writes the checkpoint. A run that is killed while it writes keeps the one before. Raises ModelError."""
        state = {
            "plan": self._said(),
            "step": self.step,
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        try:
            torch.save(state, folder / f"{CHECKPOINT}.new")
            (folder / f"{CHECKPOINT}.new").replace(folder / CHECKPOINT)
        except (OSError, RuntimeError) as error:
            # On a full disk torch raises a RuntimeError.
            raise ModelError(
                f"the checkpoint cannot be written to '{folder}' ({error}); make room, and start the run again."
            ) from error

    def resume(self, folder: Path) -> bool:
        """Goes on from the folder's checkpoint, if there is one. Raises ModelError if it is of another plan."""
        if not (folder / CHECKPOINT).is_file():
            return False
        state = _read(folder / CHECKPOINT)
        if state.get("plan") != self._said():
            raise ModelError(
                f"'{folder}' has a run with other settings ({state.get('plan')}); give those, or a new folder."
            )
        try:
            self.step = state["step"]
            self._network.load_state_dict(state["network"])
            # Of the last step taken: at the border between the two parts it is still that of the base.
            self._optimise(is_base=self.plan.trains_base(self.step - 1))
            self._optimiser.load_state_dict(state["optimiser"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"'{folder / CHECKPOINT}' is of another network or base; name a new folder.") from error
        return True

    def _said(self) -> dict[str, Any]:
        """The settings that a checkpoint must have, too."""
        settings = self.detector.settings
        return {
            **asdict(self.plan),
            "adapter": settings.adapter,
            "bottleneck": settings.bottleneck,
            "longest": settings.longer,
            "looks": settings.steps,
        }

    def _optimise(self, *, is_base: bool) -> None:
        choose_learned(self._network, is_base=is_base)
        self._of_base = is_base
        history = {id(parameter) for parameter in self._network.history_encoder.parameters()}
        parts: dict[int, list[nn.Parameter]] = {1: [], FASTER: []}
        for parameter in self.lessons.learned():
            parts[FASTER if id(parameter) in history else 1].append(parameter)
        groups = [{"params": part, "pace": pace} for pace, part in parts.items() if part]
        self._optimiser = torch.optim.AdamW(groups, self.plan.rate, weight_decay=self.plan.decay)


def _read(file: Path) -> dict[str, Any]:
    """A checkpoint; nothing but numbers is read from it. Raises ModelError."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # On bytes of another kind, torch fails with almost any error.
        raise ModelError(f"'{file}' is no checkpoint of a training; remove it, or name a new folder.") from error
    if not isinstance(state, dict):
        raise ModelError(f"'{file}' is no checkpoint of a training; remove it, or name a new folder.")
    return state
