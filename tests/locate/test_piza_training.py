"""`sorce train piza`: what it reads, the trajectories, that it learns, and that a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageDraw

from sorce.errors import GroundTruthError, ModelError
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.loading import PizaBase, open_piza, open_released
from sorce.locate.piza.training.annotations import Expression, read_expressions, split
from sorce.locate.piza.training.commands import train
from sorce.locate.piza.training.learning import Learner, TrainingPlan, choose_learned
from sorce.locate.piza.training.starting import with_new_parts
from sorce.locate.piza.training.trajectories import lesson, number_of_steps, trajectory
from sorce.mappings import Box
from tests.kit.piza import GOLDEN, one_thread

SIZE = (160, 120)
RED, BLUE = (20, 30, 44, 50), (100, 70, 140, 110)


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos with two squares each, and their labels in both forms."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = []
    for number in range(3):
        photo = Image.new("RGB", SIZE, (90, 90, 90))
        for text, corners in (("red square", RED), ("blue square", BLUE)):
            ImageDraw.Draw(photo).rectangle(corners, fill=text.split()[0])
            x1, y1, x2, y2 = corners
            row = {"image": f"{number}.png", "bbox": [x1, y1, x2 - x1, y2 - y1], "ref": text, "id": len(rows)}
            rows.append(row)
        photo.save(folder / f"{number}.png")
    (folder / "sorec.json").write_text(json.dumps(rows))
    return folder


def learner(labels: Path, plan: TrainingPlan) -> Learner:
    opened = open_released(str(GOLDEN))
    opened.network.settings = replace(opened.network.settings, shorter=64, longer=96)
    expressions = read_expressions(labels / "sorec.json", labels)[:1]
    return Learner(PizaDetector(opened.network, opened.tokenizer, "tiny"), expressions, plan)


def test_sorecs_rows_are_read(labels: Path) -> None:
    found = read_expressions(labels / "sorec.json", labels)
    assert len(found) == 6
    assert found[0] == Expression(labels / "0.png", "red square", Box(*RED))


def test_cocos_categories_that_a_photo_shows_once_are_read(labels: Path, tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 7, "file_name": "0.png"}, {"id": 8, "file_name": "away.png"}],
        "categories": [{"id": 1, "name": "red square"}, {"id": 2, "name": "square"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [20, 30, 24, 20]},
            {"image_id": 7, "category_id": 2, "bbox": [20, 30, 24, 20]},
            {"image_id": 7, "category_id": 2, "bbox": [100, 70, 40, 40]},
            {"image_id": 8, "category_id": 1, "bbox": [1, 1, 2, 2]},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    assert read_expressions(tmp_path / "coco.json", labels) == [Expression(labels / "0.png", "red square", Box(*RED))]


@pytest.mark.parametrize(
    "said", ["no json", '{"images": []}', '[{"image": "a"}]', '[{"image": 1, "ref": 2, "bbox": [1]}]']
)
def test_other_label_files_are_refused(said: str, labels: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(said)
    with pytest.raises(GroundTruthError, match="name such a file"):
        read_expressions(tmp_path / "labels.json", labels)


def test_labels_without_their_photos_are_refused(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(GroundTruthError, match="of 6 expressions"):
        read_expressions(labels / "sorec.json", tmp_path)


def test_no_photo_is_in_training_and_held_out(labels: Path) -> None:
    training, held_out = split(read_expressions(labels / "sorec.json", labels), 1)
    assert [expression.photo.name for expression in held_out] == ["2.png"]
    assert {expression.photo.name for expression in training} == {"0.png", "1.png"}


def test_each_box_of_a_trajectory_contains_the_target_and_is_smaller_than_the_last() -> None:
    rng, target = np.random.default_rng(3), Box(2000, 5, 2030, 60)
    for _ in range(20):
        boxes = trajectory(target, (4000, 3000), 5, rng)
        assert boxes[0] == Box(0, 0, 4000, 3000)
        assert boxes[-1] == target
        for outer, inner in pairwise(boxes):
            assert inner.area < outer.area
            assert outer.x1 - 1e-6 <= inner.x1 <= target.x1 + 1e-6
            assert target.y2 - 1e-6 <= inner.y2 <= outer.y2 + 1e-6
        shares = [inner.area / outer.area for outer, inner in pairwise(boxes)]
        assert shares == pytest.approx([shares[0]] * len(shares))
        assert shares[0] >= 0.05


def test_smaller_things_need_more_steps() -> None:
    sides = (3000, 1000, 300, 60, 10, 1)
    steps = [number_of_steps(Box(0, 0, side, side), (4000, 3000), 5) for side in sides]
    assert steps == [1, 1, 2, 3, 4, 5]
    assert number_of_steps(Box(0, 0, 4000, 3000), (4000, 3000), 5) == 1


def test_a_lesson_says_stop_only_at_the_end() -> None:
    boxes = [Box(0, 0, 100, 100), Box(10, 10, 50, 50), Box(20.5, 20, 30, 30)]
    assert lesson(boxes, 0).target == boxes[1]
    end = lesson(boxes, 2)
    assert (end.target, end.zoom) == (None, 1.0)
    assert end.history == ((0, 0, 100, 100), (10, 10, 40, 40), (20, 20, 9, 10))


def test_norms_and_own_parts_learn_and_the_rest_of_the_base_does_not() -> None:
    network = open_released(str(GOLDEN)).network
    choose_learned(network, is_base=False)
    learned = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    keys = json.loads((GOLDEN / "keys.json").read_text())
    own = {name for name in learned if name.startswith(("adapters.", "zoom_embedding.", "history_encoder."))}
    # Each of the released norms, and one that transformers has and does not use.
    of_base = {name for name in learned - own if ".swin.layernorm." not in name}
    assert len(of_base) == len(keys["base_trainable"])
    assert len([name for name in own if "history" not in name]) == len(keys["added_trainable"])
    choose_learned(network, is_base=True)
    assert not {name for name, parameter in network.named_parameters() if parameter.requires_grad} & own


def test_new_parts_hardly_change_their_base() -> None:
    network = open_released(str(GOLDEN)).network
    fresh = with_new_parts(PizaBase(network.config, None, network.state_dict()), network.settings)
    # The base's weights, without those of the parts that the released network has.
    kept = {name: own for name, own in network.state_dict().items() if not name.startswith("adapters.")}
    fresh.load_state_dict(kept, strict=False)
    pixels, ids = torch.zeros(1, 3, 64, 96), torch.tensor([[101, 1103, 1012, 102]])
    with torch.inference_mode():
        adapted = fresh.eval().detect(pixels, ids, torch.tensor([0.5])).encoder_last_hidden_state_vision
        fresh.adapted = False
        plain = fresh.detect(pixels, ids, None).encoder_last_hidden_state_vision
    assert 0 < (adapted - plain).abs().max() < 0.1 * plain.abs().max()


def test_the_loss_goes_down(labels: Path) -> None:
    trained = learner(labels, TrainingPlan(steps=30, base_steps=10, batch=1, rate=3e-3, clip=1.0))
    of_base = [trained.learn() for _ in range(10)]
    assert sum(of_base[5:]) < 0.5 * 5 * of_base[0]
    with_adapters = [trained.learn() for _ in range(16)]
    assert sum(with_adapters[-5:]) < 0.85 * sum(with_adapters[:5])


def test_a_run_that_was_stopped_gives_the_same_as_one_that_was_not(labels: Path, tmp_path: Path) -> None:
    plan = TrainingPlan(steps=2, base_steps=2, batch=1)
    straight = learner(labels, plan)
    losses = [straight.learn() for _ in range(4)]
    stopped = learner(labels, plan)
    assert not stopped.resume(tmp_path)
    for step in range(4):
        assert stopped.learn() == losses[step]
        stopped.save(tmp_path)
        stopped = learner(labels, plan)
        assert stopped.resume(tmp_path)
    for one, other in zip(straight.detector.network.parameters(), stopped.detector.network.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ModelError, match="other settings"):
        learner(labels, replace(plan, steps=3)).resume(tmp_path)


def test_the_command_trains_resumes_and_writes_a_localiser(labels: Path, tmp_path: Path) -> None:
    out, shared = tmp_path / "trained", ["--base", str(GOLDEN), "--batch", "1", "--longest", "64", "--held-out", "2"]
    given = ["piza", str(labels / "sorec.json"), str(labels), str(out), *shared, "--train-base", "1", "--steps", "1"]
    done = CliRunner().invoke(train, [*given, "--json"])
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert 0 <= result["acc50"] <= 1
    assert result["held_out"] == 2
    assert result["loss"] > 0
    assert open_piza(str(out)).name == str(out)
    assert not (out / "training.pt").exists()
    again = CliRunner().invoke(train, given)
    assert "already holds a model" in str(again.exception)
