"""The training loop: its plan, what is learned, one step, and checkpoints from which a run goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sorce.errors import BadPhoto, ModelError
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.history import rounded
from sorce.locate.piza.lora import OWN
from sorce.locate.piza.training.annotations import Expression
from sorce.locate.piza.training.losses import detection_loss, history_loss
from sorce.locate.piza.training.phrases import chosen, prompt_of
from sorce.locate.piza.training.trajectories import Lesson, lesson, trajectory
from sorce.mappings import Box
from sorce.pictures.loading import open_picture

CHECKPOINT = "training.pt"
HISTORIES = 64
"""Histories for each step of the history encoder: it is small, and they need no pixels."""
FASTER = 4
"""The rate of the history encoder, in rates of the plan. It begins with random weights. At the rate of the adapters it
was not sure that any history is complete after 750 steps; at four times that rate, it was of .97 of them."""

DRAWS = 100
"""As often an expression is drawn before a run ends because photos have gone."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The settings of a run. `rate`, `decay` and `clip` are the published ones.

    In the first `base_steps` all of the base learns, without adapters; then PIZA's parts and the base's norms. The rate
    falls to a tenth after three fifths of the steps of either part, as published.
    """

    steps: int
    base_steps: int = 0
    batch: int = 4
    rate: float = 2e-4
    decay: float = 1e-4
    clip: float = 0.1
    seed: int = 0

    @property
    def total(self) -> int:
        return self.base_steps + self.steps

    def trains_base(self, step: int) -> bool:
        return step < self.base_steps

    def rate_at(self, step: int) -> float:
        done, steps = (step, self.base_steps) if self.trains_base(step) else (step - self.base_steps, self.steps)
        return self.rate if done < 0.6 * steps else 0.1 * self.rate


class Learner:
    """A network that learns. All random numbers come from the seed and the step, so a run can be resumed."""

    def __init__(self, detector: PizaDetector, expressions: Sequence[Expression], plan: TrainingPlan) -> None:
        self.detector, self.plan, self.step = detector, plan, 0
        self._expressions = expressions
        self._of_photo = {
            photo: list(several) for photo, several in groupby(sorted(expressions, key=_photo_of), _photo_of)
        }
        self._network = detector.network
        self._optimise(is_base=plan.trains_base(0))

    def learn(self) -> float:
        """Takes one step. Returns the loss before it."""
        if self._of_base != self.plan.trains_base(self.step):
            self._optimise(is_base=not self._of_base)
        torch.manual_seed(self.plan.seed * 1_000_003 + self.step)
        rng = np.random.default_rng([self.plan.seed, self.step])
        for group in self._optimiser.param_groups:
            group["lr"] = group["pace"] * self.plan.rate_at(self.step)
        self._train()
        self._network.adapted = not self.plan.trains_base(self.step)
        self._optimiser.zero_grad()
        loss = 0.0
        for _ in range(self.plan.batch):
            # One image per pass, as at the search; gradients add up.
            part = self._loss(rng) / self.plan.batch
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss of step {self.step + 1:,} is not a number; start again in a new folder with a lower --rate."
            )
        nn.utils.clip_grad_norm_(self._learned(), self.plan.clip)
        self._optimiser.step()
        self._network.adapted = True
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
        parts = {"adapter": settings.adapter, "bottleneck": settings.bottleneck, "longest": settings.longer}
        return {**asdict(self.plan), **parts}

    def _optimise(self, *, is_base: bool) -> None:
        choose_learned(self._network, is_base=is_base)
        self._of_base = is_base
        history = {id(parameter) for parameter in self._network.history_encoder.parameters()}
        parts: dict[int, list[nn.Parameter]] = {1: [], FASTER: []}
        for parameter in self._learned():
            parts[FASTER if id(parameter) in history else 1].append(parameter)
        groups = [{"params": part, "pace": pace} for pace, part in parts.items() if part]
        self._optimiser = torch.optim.AdamW(groups, self.plan.rate, weight_decay=self.plan.decay)

    def _learned(self) -> list[nn.Parameter]:
        return [parameter for parameter in self._network.parameters() if parameter.requires_grad]

    def _train(self) -> None:
        network: Any = self._network
        network.train()

    def _drawn(self, rng: np.random.Generator) -> tuple[Expression, Image.Image]:
        """A random expression and its photo. Where a photo has changed since it was read, another one is drawn."""
        for _ in range(DRAWS):
            expression = self._expressions[int(rng.integers(len(self._expressions)))]
            try:
                return expression, open_picture(expression.photo).image
            except BadPhoto as error:
                said = f"photos cannot be opened, such as '{expression.photo}' (it {error}); put them back, and go on."
        raise BadPhoto(said)

    def _loss(self, rng: np.random.Generator) -> Tensor:
        (expression, photo), settings = self._drawn(rng), self.detector.settings
        box = _inside(expression.box, photo.size)
        boxes = trajectory(box, photo.size, settings.steps, rng)
        number = int(rng.integers(len(boxes) - 1))
        if self.plan.trains_base(self.step):
            # The base learns to find things in a crop of any size.
            near = self._of_photo[expression.photo]
            phrases = chosen(replace(expression, box=box), boxes[number], near, self._expressions, rng)
            return self._detection(photo, boxes[number], phrases, None)
        taken = lesson(boxes, number)
        zoom = rounded(torch.tensor([taken.zoom]), settings.zoom_step)
        return self._detection(photo, boxes[number], [(expression.text, taken.target)], zoom) + self._history(rng)

    def _detection(
        self, photo: Image.Image, crop: Box, phrases: Sequence[tuple[str, Box | None]], zoom: Tensor | None
    ) -> Tensor:
        left, top, right, bottom = (int(corner) for corner in crop.as_tuple())
        cut = photo.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
        pixels, size = self.detector.pixels(cut)
        said = prompt_of([(self.detector.tokens(text), box) for text, box in phrases], self.detector.longest)
        device = self._network.device
        output = self._network.detect(pixels, said.ids.to(device), None if zoom is None else zoom.to(device))
        used = torch.tensor([size[0] / pixels.shape[-1], size[1] / pixels.shape[-2]] * 2, device=device)
        shares = [_share(box, left, top, cut.size) for box in said.boxes]
        targets = torch.tensor(shares, device=device) * used
        return detection_loss(self._network, output, targets, said.tokens.to(device))

    def _history(self, rng: np.random.Generator) -> Tensor:
        lessons = [self._history_lesson(rng) for _ in range(HISTORIES)]
        said = self._network.history_encoder([taken.history for taken in lessons])
        stops = torch.tensor([float(taken.target is None) for taken in lessons], device=said.stop.device)
        zooms = torch.tensor([taken.zoom for taken in lessons], device=said.zoom.device)
        return history_loss(said, stops, zooms)

    def _history_lesson(self, rng: np.random.Generator) -> Lesson:
        own = self._expressions[int(rng.integers(len(self._expressions)))]
        boxes = trajectory(_inside(own.box, own.size), own.size, self.detector.settings.steps, rng)
        return lesson(boxes, int(rng.integers(len(boxes))))


def _read(file: Path) -> dict[str, Any]:
    """A checkpoint; nothing but numbers is read from it. Raises ModelError."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # On bytes of another kind, torch fails with almost any error.
        raise ModelError(f"'{file}' is no checkpoint of a training; remove it, or name a new folder.") from error
    if not isinstance(state, dict):
        raise ModelError(f"'{file}' is no checkpoint of a training; remove it, or name a new folder.")
    return state


def choose_learned(network: Any, *, is_base: bool) -> None:
    """All of the base; or PIZA's parts and the layer norms of the base, as released."""
    norms = {id(own) for part in network.model.modules() if isinstance(part, nn.LayerNorm) for own in part.parameters()}
    own_parts = ("adapters.", "zoom_embedding.", "history_encoder.")
    for name, parameter in network.named_parameters():
        added = name.startswith(own_parts) or any(part in name for part in OWN)
        parameter.requires_grad_(not added if is_base else added or id(parameter) in norms)


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """The part of the box that is in a photo of this size, at least a pixel."""
    x1, y1 = min(max(0.0, box.x1), size[0] - 1.0), min(max(0.0, box.y1), size[1] - 1.0)
    return Box(x1, y1, max(x1 + 1, min(box.x2, size[0])), max(y1 + 1, min(box.y2, size[1])))


def _share(box: Box, left: int, top: int, size: tuple[int, int]) -> list[float]:
    """Centre and size as shares of a crop, of the part of a box that is in it."""
    width, height = size
    x1, x2 = (min(max(side - left, 0.0), width) / width for side in (box.x1, box.x2))
    y1, y2 = (min(max(side - top, 0.0), height) / height for side in (box.y1, box.y2))
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def _photo_of(expression: Expression) -> Path:
    return expression.photo
