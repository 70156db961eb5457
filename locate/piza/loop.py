"""The zoom loop: detect, crop to the best box, detect again, until the history encoder says stop."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from sorce.locate.piza.detector import Detections, PizaDetector
from sorce.locate.piza.history import Rows, rounded

Corners = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels of the photo."""


@dataclass(frozen=True, slots=True, eq=False)
class ZoomStep:
    """A pass on a crop. The detections are in pixels of the photo."""

    crop: Corners
    found: Detections


@dataclass(slots=True, eq=False)
class ZoomTrace:
    """What the loop did.

    `history` has the whole photo and then each step's best box, as x, y, width, height. `stops` and `zooms` are what
    the history encoder said before each step and before the stop, if it stopped the loop; zooms are not rounded.
    """

    history: list[list[int]]
    steps: list[ZoomStep] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    zooms: list[float] = field(default_factory=list)


def zoom_in(detector: PizaDetector, photo: Image.Image, text: str) -> ZoomTrace:
    """Takes at most `settings.steps` steps on an RGB photo. Without any, the network stopped at the whole photo.

    It stops, too, where a crop would be less than one pixel wide or high: the released code fails there.
    """
    settings, tokens = detector.settings, detector.tokens(text)
    trace = ZoomTrace([[0, 0, photo.width, photo.height]])
    crop = (0, 0, photo.width, photo.height)
    for _ in range(settings.steps):
        zoom = _next_zoom(detector, trace)
        if zoom is None or crop[0] >= crop[2] or crop[1] >= crop[3]:
            break
        found = detector.detect(photo.crop(crop), tokens, zoom)
        found = Detections(found.boxes + torch.tensor([crop[0], crop[1]] * 2), found.scores)
        trace.steps.append(ZoomStep(crop, found))
        x1, y1, x2, y2 = found.boxes[0].tolist()
        # Two roundings, as released: a side of the history may be one pixel shorter than that of the next crop.
        trace.history.append([int(x1), int(y1), int(x2 - x1), int(y2 - y1)])
        crop = (int(x1), int(y1), int(x2), int(y2))
    return trace


def _next_zoom(detector: PizaDetector, trace: ZoomTrace) -> Tensor | None:
    """The zoom value for the next step, (1,), or None to stop."""
    history: Rows = trace.history
    progress = detector.progress(history)
    trace.stops.append(progress.stop.item())
    trace.zooms.append(progress.zoom.item())
    if trace.stops[-1] >= detector.settings.stop_at:
        return None
    return rounded(progress.zoom, detector.settings.zoom_step)
