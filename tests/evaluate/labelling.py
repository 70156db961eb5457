"""Pictures and label files for tests of the readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from sorce.evaluate.ground_truth import GroundTruth
from sorce.mappings import Box


def draw(folder: Path, *names: str, size: tuple[int, int] = (100, 80)) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "grey").save(folder / name)


def coco(folder: Path, *annotations: Any, **more: Any) -> Path:
    """One picture `a.jpg` of id 1, the classes cup (7) and kite (8), and these annotations."""
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
        "categories": [{"id": 7, "name": "cup"}, {"id": 8, "name": "kite"}],
        "annotations": annotations,
        **more,
    }
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return file


def lines(file: Path, *rows: Any) -> None:
    """Texts are written as they are, all else as JSON."""
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def answers(truth: GroundTruth) -> dict[str, dict[str, list[tuple[float, ...]]]]:
    """The boxes by text and picture's name."""
    return {
        query.text: {truth.pictures[key].name: tuples(boxes) for key, boxes in query.answers.items()}
        for query in truth.queries
    }


def tuples(boxes: Sequence[Box]) -> list[tuple[float, ...]]:
    return [box.as_tuple() for box in boxes]
