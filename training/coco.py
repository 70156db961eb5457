"""`python -m training.coco`: rendered scenes with COCO labels, for `sorce train piza` and `sorce evaluate locate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sorce.errors import SorceError
from training.scenes.collection import collection, write

LEAST_VISIBLE = 0.5
"""A thing that is hidden more is marked as a crowd, with all of its kind in that scene: they are there, but nobody is
asked for a box. Their name would not say which one."""
FILE = "annotations.json"


def labels(lines: list[str]) -> dict[str, Any]:
    """COCO's form of a rendered folder's labels.jsonl: a thing's name is its category, a box x, y, width, height."""
    images: list[dict[str, Any]] = []
    boxes: list[tuple[int, str, list[float], bool]] = []
    for number, said in enumerate(map(json.loads, lines), 1):
        images.append({"id": number, "file_name": said["image"], "width": said["width"], "height": said["height"]})
        hidden = {each["label"] for each in said["objects"] if each["visible"] < LEAST_VISIBLE}
        for thing in said["objects"]:
            x1, y1, x2, y2 = thing["box"]
            boxes.append((number, thing["label"], [x1, y1, x2 - x1, y2 - y1], thing["label"] in hidden))
    categories = {name: number for number, name in enumerate(sorted({name for _, name, _, _ in boxes}), 1)}
    return {
        "images": images,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": categories[name],
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": int(is_crowd),
            }
            for number, (image, name, box, is_crowd) in enumerate(boxes, 1)
        ],
    }


def write_labels(folder: Path) -> Path:
    """Writes the COCO labels of a rendered folder beside its pictures."""
    lines = (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / FILE).write_text(json.dumps(labels(lines)) + "\n", encoding="utf-8")
    return folder / FILE


@click.command()
@click.option("--seed", required=True, type=int)
@click.option("--scenes", default=300, show_default=True, type=click.IntRange(min=1))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
def main(seed: int, scenes: int, out: Path) -> None:
    """Render scenes with COCO labels: python -m training.coco --seed 7 --scenes 20 --out scenes"""
    if out.exists():
        raise click.UsageError(f"{out} exists already: name a new folder, or remove it.")
    try:
        write(collection(seed, scenes, min(scenes, 300)), out)
    except (SorceError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{scenes} scenes in {out}, labels in {write_labels(out)}")


if __name__ == "__main__":
    main()
