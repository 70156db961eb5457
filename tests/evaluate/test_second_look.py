"""A second stage in a benchmark: its boxes beside the index's, from labels and from expressions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from sorce.cli import sorce as command
from sorce.errors import ModelError
from sorce.evaluate import commands
from sorce.evaluate.run import BenchmarkRun, RecipeResult
from tests.kit.fake import COLOURS, FakeModel
from tests.kit.localiser import FakeLocaliser

SIDE = 64
MIDDLE = [8, 8, 16, 16]
"""As x, y, width and height: what the localiser gives for a thing in the first quarter."""


def photos(folder: Path) -> list[str]:
    """Black photos whose first quarter is red, or green."""
    names = []
    for colour in ("red", "green"):
        photo = Image.new("RGB", (SIDE, SIDE))
        photo.paste(COLOURS[colour], (0, 0, SIDE // 2, SIDE // 2))
        names.append(f"{colour}.png")
        photo.save(folder / names[-1])
    return names


def coco(folder: Path) -> None:
    names = photos(folder)
    images = [{"id": i, "file_name": name, "width": SIDE, "height": SIDE} for i, name in enumerate(names)]
    boxes = [{"id": i, "image_id": i, "category_id": i, "bbox": MIDDLE, "iscrowd": 0} for i in range(2)]
    categories = [{"id": i, "name": Path(name).stem} for i, name in enumerate(names)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(content))


def yolo(folder: Path) -> None:
    for number, name in enumerate(photos(folder)):
        (folder / name).with_suffix(".txt").write_text(f"{number} 0.25 0.25 0.25 0.25\n")
    (folder / "data.yaml").write_text("names: [red, green]\n")


def sorec(folder: Path) -> None:
    rows = [
        {"id": i, "image": name, "bbox": MIDDLE, "ref": f"the {Path(name).stem} thing"}
        for i, name in enumerate(photos(folder))
    ]
    (folder / "val.json").write_text(json.dumps(rows))


WRITERS = {"coco": ("locate", coco), "yolo": ("locate", yolo), "sorec": ("sorec", sorec)}


def evaluated(benchmark: str, folder: Path, drawings: Path | None = None) -> RecipeResult:
    run = replace(BenchmarkRun.of(benchmark, folder), localiser=lambda _: FakeLocaliser())
    return run(FakeModel(), drawings)


@pytest.mark.parametrize("name", WRITERS)
def test_boxes_of_both_stages_are_measured(name: str, tmp_path: Path) -> None:
    benchmark, write = WRITERS[name]
    write(tmp_path)
    result = evaluated(benchmark, tmp_path)
    # The index's box is the quarter, of which the thing fills a quarter.
    assert [result.metric(each).value for each in ("Acc50", "Acc75", "mAcc")] == [0, 0, 0]
    assert result.metric("box: mean IoU").value == pytest.approx(0.25)
    for each in ("located Acc50", "located Acc75", "located mAcc", "located box: mean IoU"):
        metric = result.metric(each)
        assert (metric.value, metric.low, metric.high, metric.over) == (1, 1, 1, 2)


def test_a_photo_that_is_gone_has_no_box_and_is_named(tmp_path: Path) -> None:
    coco(tmp_path)

    class Removing(FakeLocaliser):
        def locate(self, *given: Any, **more: Any) -> Any:
            (tmp_path / "red.png").unlink(missing_ok=True)
            return super().locate(*given, **more)

    run = replace(BenchmarkRun.of("locate", tmp_path), localiser=lambda _: Removing())
    result = run(FakeModel(), tmp_path / "drawn")
    assert (result.metric("located Acc50").value, result.metric("Acc50").over) == (0.5, 2)
    opened, drawn = result.remarks
    assert opened.startswith("photos that could not be opened again, which therefore have no box: 1 (first: file://")
    assert drawn.startswith("drawings with a grey page in place of a photo: 1 (first: red: 1 of 1 photos could not be")


def test_a_localiser_that_cannot_be_opened_is_refused_before_any_photo_is_encoded(tmp_path: Path) -> None:
    coco(tmp_path)

    class Unused(FakeModel):
        def encode(self, *_: Any) -> Any:
            raise AssertionError

    def opened(_: Any) -> Any:
        raise ModelError("no such detector.")

    with pytest.raises(ModelError, match="no such detector"):
        replace(BenchmarkRun.of("locate", tmp_path), localiser=opened)(Unused())


def test_the_command_prints_both_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coco(tmp_path)
    asked: list[str] = []

    def opened(name: str, *_: Any) -> FakeLocaliser:
        asked.append(name)
        return FakeLocaliser()

    monkeypatch.setattr(commands, "load_model", lambda *_, **__: FakeModel())
    monkeypatch.setattr(commands, "open_localiser", opened)
    arguments = ["evaluate", "locate", str(tmp_path), "--exact", "--json", "--save", str(tmp_path / "drawn")]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    [recipe] = json.loads(result.stdout)["recipes"]
    found = {each["name"]: each["value"] for each in recipe["metrics"]}
    assert (asked, found["located Acc50"], found["Acc50"]) == (["zoom"], 1, 0)
    assert len([*(tmp_path / "drawn").rglob("01-*.jpg")]) == 2


def test_a_localiser_in_a_benchmark_without_given_photos_is_wrong_usage(tmp_path: Path) -> None:
    coco(tmp_path)
    result = CliRunner().invoke(command, ["evaluate", "coco", str(tmp_path), "--exact", "--localiser", "zoom"])
    assert (result.exit_code, "--localiser is only for locate and sorec" in result.output) == (2, True)
