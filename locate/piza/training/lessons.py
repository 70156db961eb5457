"""What the photos of a batch teach: the loss, and the gradients of what learns in a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from sorce.locate.piza.preprocessing import resized_size
from sorce.locate.piza.training.annotations import Expression
from sorce.locate.piza.training.losses import detection_loss, history_loss
from sorce.locate.piza.training.passes import CropInput, stacked
from sorce.locate.piza.training.phrases import chosen, prompt_of
from sorce.locate.piza.training.plan import TrainingPlan
from sorce.locate.piza.training.trajectories import Lesson, any_crop, lesson, next_box, trajectory
from sorce.mappings import Box
from sorce.pictures.loading import open_picture

HISTORIES = 64
"""Histories for each photo: the history encoder is small, and they need no pixels."""
CROPS, PIXELS = 4, 800 * 1333
"""Crops in a pass, and their pixels, at most: a small network spends little of its time on arithmetic, and a large one
needs the memory. A pass has at least one crop."""
DRAWS = 100
"""As often an expression is drawn before a run ends because photos have gone."""


@dataclass(frozen=True, slots=True, eq=False)
class Exercise:
    """What a photo of a batch is asked: texts, and of the things that its crop shows the part in it.

    `zoom` is the zoom value, None for the base. `rng` gives the histories.
    """

    expression: Expression
    crop: Box
    phrases: list[tuple[str, Box | None]]
    zoom: float | None
    rng: np.random.Generator


class Lessons:
    """All random numbers come from the seed, the step and the photo's number in its batch.

    Several `processes` share a batch. Each has some of its passes.
    """

    def __init__(
        self, detector: PizaDetector, expressions: Sequence[Expression], plan: TrainingPlan, processes: int = 1
    ) -> None:
        self.detector, self.expressions, self.plan, self.processes = detector, expressions, plan, processes
        self._of_photo = {
            photo: list(several) for photo, several in groupby(sorted(expressions, key=_photo_of), _photo_of)
        }
        self._network = detector.network

    def learned(self) -> list[nn.Parameter]:
        """Those that learn in the step that was last asked for."""
        return [parameter for parameter in self._network.parameters() if parameter.requires_grad]

    def gradients(self, step: int, process: int = 0) -> float:
        """Leaves the gradients of a process's part of a step's batch on the network. Returns its share of the loss."""
        is_base = self.plan.trains_base(step)
        choose_learned(self._network, is_base=is_base)
        network: Any = self._network
        network.train().zero_grad()
        self._network.adapted = not is_base
        loss = 0.0
        for numbers in self.passes(step)[process :: self.processes]:
            torch.manual_seed((self.plan.seed * 1_000_003 + step) * self.plan.batch + numbers[0])
            found = self._loss([self._seen(step, number) for number in numbers]) / self.plan.batch
            found.backward()  # type: ignore[no-untyped-call]
            loss += found.item()
        self._network.adapted = True
        return loss

    def passes(self, step: int) -> list[list[int]]:
        """The numbers of a batch's photos that go through the network together: those with crops of a like shape.

        There are as many passes as processes, or more.
        """
        most = min(CROPS, -(-self.plan.batch // self.processes))
        sizes = [self._size(self._exercise(step, number).crop) for number in range(self.plan.batch)]
        passes = list[list[int]]()
        for number in sorted(range(self.plan.batch), key=lambda number: sizes[number][0] / sizes[number][1]):
            if passes and len(passes[-1]) < most and _fit([sizes[other] for other in (*passes[-1], number)]):
                passes[-1].append(number)
            else:
                passes.append([number])
        return passes

    def _size(self, crop: Box) -> tuple[int, int]:
        return resized_size(*_size_of(_whole_pixels(crop)), self.detector.settings)

    def _exercise(self, step: int, number: int, attempt: int = 0) -> Exercise:
        """A random expression, and what is asked of its photo, which is not opened."""
        rng = np.random.default_rng([self.plan.seed, step, number, attempt])
        expression = self.expressions[int(rng.integers(len(self.expressions)))]
        asked = replace(expression, box=_inside(expression.box, expression.size))
        if self.plan.trains_base(step):
            crop = any_crop(asked.box, asked.size, rng)
            return Exercise(asked, crop, self._phrases(asked, crop, rng), None, rng)
        boxes = trajectory(asked.box, asked.size, self.detector.settings.steps, rng, self.plan.share)
        taken = int(rng.integers(len(boxes) - 1))
        phrases = self._phrases(asked, boxes[taken], rng)
        following = [(text, thing and next_box(thing, boxes, taken)) for text, thing in phrases]
        return Exercise(asked, boxes[taken], following, lesson(boxes, taken).zoom, rng)

    def _seen(self, step: int, number: int) -> tuple[Exercise, CropInput]:
        """What the network sees. Where a photo has changed since the labels were read, another one is drawn."""
        for attempt in range(DRAWS):
            exercise = self._exercise(step, number, attempt)
            photo = exercise.expression.photo
            try:
                image = open_picture(photo).image
            except BadPhoto as error:
                said = f"photos cannot be opened, such as '{photo}' (it {error}); put them back, and go on."
                continue
            if image.size == exercise.expression.size:
                return exercise, self._view(image, exercise)
            said = f"photos have another size than before, such as '{photo}'; put the old ones back, and go on."
        raise BadPhoto(said)

    def _phrases(self, asked: Expression, crop: Box, rng: np.random.Generator) -> list[tuple[str, Box | None]]:
        """Texts, and of the things that the crop shows the part in it."""
        several = chosen(asked, crop, self._of_photo[asked.photo], self.expressions, rng)
        return [(text, thing and _cut(thing, crop)) for text, thing in several]

    def _view(self, photo: Image.Image, exercise: Exercise) -> CropInput:
        corners = _whole_pixels(exercise.crop)
        pixels, (wide, tall) = self.detector.pixels(photo.crop(corners))
        said = prompt_of([(self.detector.tokens(text), box) for text, box in exercise.phrases], self.detector.longest)
        shares = torch.tensor([_share(box, corners) for box in said.boxes])
        zoom = (
            None if exercise.zoom is None else rounded(torch.tensor([exercise.zoom]), self.detector.settings.zoom_step)
        )
        return CropInput(pixels, said, shares * torch.tensor([wide, tall] * 2), zoom)

    def _loss(self, several: Sequence[tuple[Exercise, CropInput]]) -> Tensor:
        """The sum over the photos of a pass."""
        batch = stacked([seen for _, seen in several])
        output = self._network.detect(batch.pixels, batch.ids, batch.zooms, batch.words)
        is_base = batch.zooms is None
        found = detection_loss(self._network, output, batch.boxes, batch.tokens, by_centre=not is_base)
        return found if is_base else found + self._history([exercise.rng for exercise, _ in several])

    def _history(self, rngs: Sequence[np.random.Generator]) -> Tensor:
        lessons = [self._history_lesson(rng) for rng in rngs for _ in range(HISTORIES)]
        said = self._network.history_encoder([taken.history for taken in lessons])
        stops = torch.tensor([float(taken.target is None) for taken in lessons], device=said.stop.device)
        zooms = torch.tensor([taken.zoom for taken in lessons], device=said.zoom.device)
        return len(rngs) * history_loss(said, stops, zooms)

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


def _whole_pixels(crop: Box) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a crop, which has at least one pixel."""
    left, top, right, bottom = (int(corner) for corner in crop.as_tuple())
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _size_of(corners: tuple[int, int, int, int]) -> tuple[int, int]:
    return corners[2] - corners[0], corners[3] - corners[1]


def _share(box: Box, corners: tuple[int, int, int, int]) -> list[float]:
    """Centre and size as shares of a crop."""
    (wide, tall), left, top = _size_of(corners), corners[0], corners[1]
    x1, x2 = ((side - left) / wide for side in (box.x1, box.x2))
    y1, y2 = ((side - top) / tall for side in (box.y1, box.y2))
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def _fit(sizes: Sequence[tuple[int, int]]) -> bool:
    """Whether there is memory for crops of these widths and heights together."""
    wide, tall = max(wide for wide, _ in sizes), max(tall for _, tall in sizes)
    return len(sizes) * wide * tall <= PIXELS


def _cut(box: Box, crop: Box) -> Box:
    """The part of a box that is in the crop."""
    x1, x2 = (min(max(side, crop.x1), crop.x2) for side in (box.x1, box.x2))
    y1, y2 = (min(max(side, crop.y1), crop.y2) for side in (box.y1, box.y2))
    return Box(x1, y1, x2, y2)


def _photo_of(expression: Expression) -> Path:
    return expression.photo
