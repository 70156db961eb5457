"""The families of open-vocabulary detectors: how each reads a text, and what its network's output means.

A new family is one entry in FAMILIES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_convert  # type: ignore[import-untyped]

Tokens = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DetectorFamily:
    """One family of detectors.

    `read` turns a processor and a text into the network's text inputs. `found` turns the output for one image into
    corners x1, y1, x2, y2 as shares of the image (n, 4) and scores 0..1 (n,). `network` is the class in transformers.
    `is_padded` says that the image is padded to a square on the right and below before it is scaled.
    """

    network: str
    read: Callable[[Any, str], Tokens]
    found: Callable[[Any], tuple[Tensor, Tensor]]
    is_padded: bool = False


def _words(length: int | None = None, **more: Any) -> Callable[[Any, str], Tokens]:
    def read(processor: Any, text: str) -> Tokens:
        most = length or processor.tokenizer.model_max_length
        tokens: Tokens = processor.tokenizer([text], truncation=True, max_length=most, return_tensors="pt", **more)
        return tokens

    return read


def _sentence(processor: Any, text: str) -> Tokens:
    """Lower case with a full stop at the end, as in training: each full stop ends a phrase."""
    plain = " ".join(text.lower().replace(".", " ").split())
    return _words(256, return_token_type_ids=True)(processor, f"{plain}.")


def _class_and_task(processor: Any, text: str) -> Tokens:
    """OmDet-Turbo reads the class, and a sentence that says what to do."""
    read = _words(77, padding="max_length", return_token_type_ids=False)
    said = {
        f"{part}_{name}": value
        for part, words in (("classes", text), ("tasks", f"Detect {text}."))
        for name, value in read(processor, words).items()
    }
    return {**said, "classes_structure": torch.tensor([1])}


def _grounded(outputs: Any) -> tuple[Tensor, Tensor]:
    """The score of a box is that of its best token."""
    return box_convert(outputs.pred_boxes[0], "cxcywh", "xyxy"), outputs.logits[0].sigmoid().amax(-1)


def _omdet(outputs: Any) -> tuple[Tensor, Tensor]:
    boxes = box_convert(outputs.decoder_coord_logits[0], "cxcywh", "xyxy")
    return boxes, outputs.decoder_class_logits[0, :, 0].sigmoid()


def _sam(outputs: Any) -> tuple[Tensor, Tensor]:
    """The presence score says whether the thing is in the image at all, so that all scores can be near 0."""
    return outputs.pred_boxes[0], outputs.pred_logits[0].sigmoid() * outputs.presence_logits[0].sigmoid()


_ZERO_SHOT = "AutoModelForZeroShotObjectDetection"
_DINO = DetectorFamily(_ZERO_SHOT, _sentence, _grounded)
_SAM = DetectorFamily("Sam3Model", _words(32, padding="max_length"), _sam)

FAMILIES: Mapping[str, DetectorFamily] = {
    "grounding-dino": _DINO,
    # LLMDet's checkpoints name this type, too.
    "mm-grounding-dino": _DINO,
    "omdet-turbo": DetectorFamily(_ZERO_SHOT, _class_and_task, _omdet),
    "owlv2": DetectorFamily(_ZERO_SHOT, _words(16, padding="max_length"), _grounded, is_padded=True),
    "sam3": _SAM,
    # The published checkpoint holds a tracker of videos beside it.
    "sam3_video": _SAM,
}
"""By the `model_type` of config.json."""
