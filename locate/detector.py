"""The localiser `detector`: an open-vocabulary detector, on the whole photo and on a crop round the region."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor

from sorce.errors import ModelError
from sorce.locate.families import FAMILIES, DetectorFamily
from sorce.locate.geometry import inside
from sorce.locate.rgb import in_rgb
from sorce.locate.untied import open_network
from sorce.mappings import Box, Instance, Located, LocateRequest
from sorce.models.checkpoint import Checkpoint
from sorce.models.loading import opening, where
from sorce.models.objects.owl import see
from sorce.models.objects.proposals import Found, picked, refuse_nonsense
from sorce.models.objects.settings import ProposalLimits
from sorce.models.objects.windows import Look, Window
from sorce.models.quiet import quietly

CONTEXT = 1.0
"""Context round the region on each side, as a share of its longer side: the crop is three times as wide."""
LEAST_CROP = 64
"""Least side of a crop in pixels. A smaller one shows a detector too little to recognise."""
LONGEST = 8
"""The longer side of what a detector sees is at most so many times the shorter one."""
GREY = (124, 116, 104)
"""The mean colour of photos, which normalising makes zero."""
ENOUGH = 2
"""A picture for OWLv2 has at most so many times the pixels a side of the network's input."""
USUAL = "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det"


class DetectorLocaliser:
    """Looks with a detector that reads texts. Its score is the detector's own confidence.

    Only the presence score of SAM 3 is trained to say that a thing is not there.
    """

    def __init__(self, checkpoint: Checkpoint, config: Any, device: torch.device) -> None:
        """`config` is the checkpoint's. Raises ModelError if it is of no known family, or is incomplete."""
        self.name = checkpoint.name
        self._family = _family(config, checkpoint)
        with opening(checkpoint, "processor (preprocessor_config.json and tokenizer)"):
            processor: Any = transformers.AutoProcessor
            self._processor = processor.from_pretrained(checkpoint.place, **where(checkpoint))
        network = open_network(getattr(transformers, self._family.network), checkpoint, config)
        self.network = network.to(device).eval()

    @quietly
    def locate(self, requests: Sequence[LocateRequest], boxes: int = 1, min_score: float = 0.0) -> list[Located]:
        """One answer for each request, in order. Each photo is seen by itself, so that no padding changes its boxes."""
        return [self._one(in_rgb(request), ProposalLimits(max(1, boxes)), min_score) for request in requests]

    def _one(self, request: LocateRequest, limits: ProposalLimits, min_score: float) -> Located:
        photo = request.picture.image
        tokens = self._family.read(self._processor, request.text.encode(errors="replace").decode())
        whole = Window(0, 0, photo.width, photo.height)
        seen = [(whole, self._see(photo, whole, tokens))]
        region = request.box
        if region is None:
            best = _instances(photo, seen, limits, self.name)
            region = best[0].box if best else None
        if region is not None and (crop := around(region, photo.width, photo.height)) != whole:
            seen.append((crop, self._see(photo, crop, tokens)))
        steps = tuple(Box(window.left, window.top, window.right, window.bottom) for window, _ in seen)
        found = _instances(photo, seen, limits, self.name)
        # A detector may find nothing, or only boxes that the crop's edge cuts.
        first = found[0] if found else Instance(_looked_at(region, steps[0]), 0.0)
        kept = (first, *(each for each in found[1:] if each.score >= min_score))
        return Located(first.box, first.score, (*steps, first.box), kept)

    @torch.inference_mode()
    def _see(self, photo: Image.Image, window: Window, tokens: Any) -> tuple[Tensor, Tensor]:
        """Corners in pixels of the photo (n, 4), and scores (n,), both on the CPU."""
        view = self._view(photo, window)
        images = self._processor.image_processor(images=[view], return_tensors="pt")
        inputs = {**{name: images[name] for name in ("pixel_values", "pixel_mask") if name in images}, **tokens}
        device = self.network.device
        outputs = self.network(**{name: value.to(device) for name, value in inputs.items()})
        shares, scores = self._family.found(outputs)
        across, down = (window.longer,) * 2 if self._family.is_padded else view.size
        boxes = shares.float().cpu() * torch.tensor([across, down] * 2) + torch.tensor([window.left, window.top] * 2)
        return boxes, scores.float().cpu()

    def _view(self, photo: Image.Image, window: Window) -> Image.Image:
        if not self._family.is_padded:
            return extended(window.cut(photo))
        # The processor pads before it shrinks: of a photo of 10,000 x 100, it would make 11 GB of numbers.
        most = ENOUGH * int(self._processor.image_processor.size["height"])
        return window.cut(photo) if window.longer <= most else Image.fromarray(see(photo, window, most))


def extended(view: Image.Image) -> Image.Image:
    """An RGB picture, extended to the right or below with grey if it is too elongated.

    Of a photo of 10,000 x 100, the DINO networks would have fewer tokens than queries; of one of 3,000 x 1, the shrunk
    height would be zero.
    """
    least = ceil(max(view.size) / LONGEST)
    if min(view.size) >= least:
        return view
    wide = Image.new("RGB", (max(view.width, least), max(view.height, least)), GREY)
    wide.paste(view)
    return wide


def around(region: Box, width: int, height: int) -> Window:
    """The region with context, in whole pixels of a photo of this size."""
    longer = max(region.x2 - region.x1, region.y2 - region.y1)
    more = max(CONTEXT * longer, (LEAST_CROP - longer) / 2)
    crop = inside((region.x1 - more, region.y1 - more, region.x2 + more, region.y2 + more), width, height)
    return Window(floor(crop.x1), floor(crop.y1), ceil(crop.x2), ceil(crop.y2))


def _instances(
    photo: Image.Image, seen: Sequence[tuple[Window, tuple[Tensor, Tensor]]], limits: ProposalLimits, name: str
) -> list[Instance]:
    """The best boxes of all looks that do not overlap a better one, best first."""
    look = Look(photo.width, photo.height, [window for window, _ in seen], [])
    boxes, scores = (torch.cat(parts) for parts in zip(*(said for _, said in seen), strict=True))
    numbers = torch.arange(len(seen)).repeat_interleave(torch.tensor([len(said[1]) for _, said in seen]))
    found = Found(boxes, scores, numbers, torch.zeros(len(scores), 0))
    refuse_nonsense(found, name)
    rows = picked(found, look, limits).tolist()
    return [Instance(inside(tuple(boxes[row].tolist()), photo.width, photo.height), float(scores[row])) for row in rows]


def _looked_at(region: Box | None, whole: Box) -> Box:
    return whole if region is None else inside(region.as_tuple(), int(whole.x2), int(whole.y2))


def _family(config: Any, checkpoint: Checkpoint) -> DetectorFamily:
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise ModelError(
            f"model '{checkpoint.name}' is a {config.model_type}, which finds no things by a text; choose a detector "
            f"of {', '.join(FAMILIES)}, such as {USUAL}."
        )
    return family
