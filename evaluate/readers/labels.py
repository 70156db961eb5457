"""Labels of either kind, COCO or YOLO, each read as an expression: the thing of this name, in this photo."""

from __future__ import annotations

from pathlib import Path

from sorce.evaluate.ground_truth import GroundTruth
from sorce.evaluate.readers import coco, yolo


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """A query for each class. The label file is COCO's if it is JSON, or if FOLDER holds JSON.

    Raises GroundTruthError.
    """
    is_coco = truth.suffix.lower() == ".json" if truth is not None else any(folder.glob("*.json"))
    return coco.read(folder, truth) if is_coco else yolo.read(folder, truth)
