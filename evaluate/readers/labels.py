"""Labels of either kind, COCO or YOLO, each read as an expression: the thing of this name, in this photo."""

from __future__ import annotations

from pathlib import Path

from sorce.evaluate.ground_truth import GroundTruth
from sorce.evaluate.readers import coco, yolo


def read(folder: Path, truth: Path | None = None) -> GroundTruth:
    """A query for each class. The label file is COCO's if it is JSON. Raises GroundTruthError.

    Without one, FOLDER is COCO's if it holds JSON (itself, or in `annotations`) and no `data.yaml`, which is YOLO's.
    """
    is_coco = truth.suffix.lower() == ".json" if truth is not None else _holds_coco(folder)
    return coco.read(folder, truth) if is_coco else yolo.read(folder, truth)


def _holds_coco(folder: Path) -> bool:
    return not (folder / "data.yaml").is_file() and any(any(folder.glob(form)) for form in coco.FILES)
