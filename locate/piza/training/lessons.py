"""What one photo of a batch teaches: its loss, and the gradients of what learns in a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sorce.errors import BadPhoto
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.history import rounded
from sorce.locate.piza.lora import OWN
from sorce.locate.piza.training.annotations import Expression
from sorce.locate.piza.training.losses import detection_loss, history_loss
from sorce.locate.piza.training.phrases import chosen, prompt_of
from sorce.locate.piza.training.plan import TrainingPlan
from sorce.locate.piza.training.trajectories import Lesson, any_crop, lesson, next_box, trajectory
from sorce.mappings import Box
from sorce.pictures.loading import open_picture

HISTORIES = 64
"""Histories for each photo: the history encoder is small, and they need no pixels."""
DRAWS = 100
"""As often an expression is drawn before a run ends because photos have gone."""


class Lessons:
    """All random numbers come from the seed, the step and the photo's number in its batch."""

    def __init__(self, detector: PizaDetector, expressions: Sequence[Expression], plan: TrainingPlan) -> None:
        self.detector, self.expressions, self.plan = detector, expressions, plan
        self._of_photo = {
            photo: list(several) for photo, several in groupby(sorted(expressions, key=_photo_of), _photo_of)
        }
        self._network = detector.network

    def learned(self) -> list[nn.Parameter]:
        """Those that learn in the step that was last asked for."""
        return [parameter for parameter in self._network.parameters() if parameter.requires_grad]

    def gradients(self, step: int, numbers: Iterable[int]) -> float:
        """Leaves the gradients of some photos of a step's batch on the network. Returns their share of the loss."""
        is_base = self.plan.trains_base(step)
        choose_learned(self._network, is_base=is_base)
        network: Any = self._network
        network.train().zero_grad()
        self._network.adapted = not is_base
        loss = 0.0
        for number in numbers:
            torch.manual_seed((self.plan.seed * 1_000_003 + step) * self.plan.batch + number)
            # One image per pass, as at the search; gradients add up.
            part = self._loss(np.random.default_rng([self.plan.seed, step, number]), is_base=is_base) / self.plan.batch
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        self._network.adapted = True
        return loss

    def _drawn(self, rng: np.random.Generator) -> tuple[Expression, Image.Image]:
        """A random expression and its photo. Where a photo has changed since it was read, another one is drawn."""
        for _ in range(DRAWS):
            expression = self.expressions[int(rng.integers(len(self.expressions)))]
            try:
                return expression, open_picture(expression.photo).image
            except BadPhoto as error:
                said = f"photos cannot be opened, such as '{expression.photo}' (it {error}); put them back, and go on."
        raise BadPhoto(said)

    def _loss(self, rng: np.random.Generator, *, is_base: bool) -> Tensor:
        expression, photo = self._drawn(rng)
        asked = replace(expression, box=_inside(expression.box, photo.size))
        if is_base:
            crop = any_crop(asked.box, photo.size, rng)
            return self._detection(photo, crop, self._phrases(asked, crop, rng), None)
        boxes = trajectory(asked.box, photo.size, self.detector.settings.steps, rng, self.plan.share)
        number = int(rng.integers(len(boxes) - 1))
        phrases = [
            (text, thing and next_box(thing, boxes, number)) for text, thing in self._phrases(asked, boxes[number], rng)
        ]
        zoom = rounded(torch.tensor([lesson(boxes, number).zoom]), self.detector.settings.zoom_step)
        return self._detection(photo, boxes[number], phrases, zoom) + self._history(rng)

    def _phrases(self, asked: Expression, crop: Box, rng: np.random.Generator) -> list[tuple[str, Box | None]]:
        """Texts, and of the things that the crop shows the part in it."""
        several = chosen(asked, crop, self._of_photo[asked.photo], self.expressions, rng)
        return [(text, thing and _cut(thing, crop)) for text, thing in several]

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
        return detection_loss(self._network, output, targets, said.tokens.to(device), by_centre=zoom is not None)

    def _history(self, rng: np.random.Generator) -> Tensor:
        lessons = [self._history_lesson(rng) for _ in range(HISTORIES)]
        said = self._network.history_encoder([taken.history for taken in lessons])
        stops = torch.tensor([float(taken.target is None) for taken in lessons], device=said.stop.device)
        zooms = torch.tensor([taken.zoom for taken in lessons], device=said.zoom.device)
        return history_loss(said, stops, zooms)

    def _history_lesson(self, rng: np.random.Generator) -> Lesson:
        own = self.expressions[int(rng.integers(len(self.expressions)))]
        boxes = trajectory(_inside(own.box, own.size), own.size, self.detector.settings.steps, rng, self.plan.share)
        return lesson(boxes, int(rng.integers(len(boxes))))


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
    """Centre and size as shares of a crop."""
    x1, x2 = ((side - left) / size[0] for side in (box.x1, box.x2))
    y1, y2 = ((side - top) / size[1] for side in (box.y1, box.y2))
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def _cut(box: Box, crop: Box) -> Box:
    """The part of a box that is in the crop."""
    x1, x2 = (min(max(side, crop.x1), crop.x2) for side in (box.x1, box.x2))
    y1, y2 = (min(max(side, crop.y1), crop.y2) for side in (box.y1, box.y2))
    return Box(x1, y1, x2, y2)


def _photo_of(expression: Expression) -> Path:
    return expression.photo
