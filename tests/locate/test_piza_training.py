"""`sorce train piza`: what it reads, the trajectories, that it learns, and that a stopped run goes on."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageDraw
from safetensors import SafetensorError

from sorce.errors import BadPhoto, GroundTruthError, ModelError, SorceError
from sorce.locate import open_localiser
from sorce.locate.piza.detector import PizaDetector
from sorce.locate.piza.loading import PizaBase, open_piza, open_released
from sorce.locate.piza.localiser import Piza
from sorce.locate.piza.lora import NAME
from sorce.locate.piza.network import PizaNetwork
from sorce.locate.piza.saving import save
from sorce.locate.piza.training.annotations import Expression, read_expressions, split
from sorce.locate.piza.training.commands import train
from sorce.locate.piza.training.learning import Learner
from sorce.locate.piza.training.lessons import Exercise, choose_learned
from sorce.locate.piza.training.losses import _one_layer, detection_loss
from sorce.locate.piza.training.passes import CropInput, stacked
from sorce.locate.piza.training.phrases import MOST, chosen, prompt_of
from sorce.locate.piza.training.plan import TrainingPlan
from sorce.locate.piza.training.running import accuracy
from sorce.locate.piza.training.starting import with_new_parts
from sorce.locate.piza.training.training import new_settings
from sorce.locate.piza.training.trajectories import any_crop, lesson, next_box, number_of_steps, trajectory
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


def learner(
    labels: Path, plan: TrainingPlan, processes: int = 1, expressions: Sequence[Expression] | None = None
) -> Learner:
    opened = open_released(str(GOLDEN))
    opened.network.settings = replace(opened.network.settings, shorter=64, longer=96)
    expressions = expressions or read_expressions(labels / "sorec.json", labels)[:1]
    return Learner(PizaDetector(opened.network, opened.tokenizer, "tiny"), expressions, plan, processes)


def test_sorecs_rows_are_read(labels: Path) -> None:
    found = read_expressions(labels / "sorec.json", labels)
    assert len(found) == 6
    assert found[0] == Expression(labels / "0.png", "red square", Box(*RED), SIZE)


def test_another_key_of_a_sorec_row_says_nothing(labels: Path, tmp_path: Path) -> None:
    row = {"image": "0.png", "ref": "a", "bbox": [20, 30, 5, 5], "shown": 5}
    (tmp_path / "labels.json").write_text(json.dumps([row]))
    [found] = read_expressions(tmp_path / "labels.json", labels)
    assert found == Expression(labels / "0.png", "a", Box(20, 30, 25, 35), SIZE)


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
    [found] = read_expressions(tmp_path / "coco.json", labels)
    assert found == Expression(labels / "0.png", "red square", Box(*RED), SIZE, frozenset({"red square", "square"}))


def of_size(width: Any, height: Any, *boxes: Any) -> str:
    """COCO's JSON with one class for each box of `0.png`, and the size that the file states for it."""
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": "0.png", "width": width, "height": height}],
            "categories": [{"id": number, "name": "square"} for number, _ in enumerate(boxes)],
            "annotations": [{"image_id": 1, "category_id": number, "bbox": box} for number, box in enumerate(boxes)],
        }
    )


def test_boxes_for_a_larger_copy_of_a_photo_are_scaled_and_said(labels: Path, tmp_path: Path) -> None:
    file, notes = tmp_path / "coco.json", list[str]()
    file.write_text(of_size(SIZE[0] * 5, SIZE[1] * 5, [100, 150, 120, 100]))
    assert [found.box for found in read_expressions(file, labels, notes.append)] == [Box(*RED)]
    assert notes == [
        f"note: boxes of '{file}' that were drawn on a photo of another size, scaled: 1 (first: number 1)."
    ]
    for unusable in (None, 0, "9", True, float("nan"), 10**400):
        file.write_text(of_size(160, unusable, [20, 30, 24, 20]))
        assert [found.box for found in read_expressions(file, labels)] == [Box(*RED)]
    file.write_text(of_size(*reversed(SIZE), [20, 30, 24, 20]))
    with pytest.raises(GroundTruthError, match="have a photo of another shape than the file says"):
        read_expressions(file, labels)


def test_boxes_that_reach_beyond_their_photo_are_cut_and_said(labels: Path, tmp_path: Path) -> None:
    file, notes = tmp_path / "coco.json", list[str]()
    file.write_text(of_size(*SIZE, [0, 0, 160.5, 20], [150, -3, 20, 20], [-9, 100, 10, 90], [160, 0, 9, 9]))
    found = read_expressions(file, labels, notes.append)
    assert [one.box for one in found] == [Box(0, 0, 160, 20), Box(150, 0, 160, 17), Box(0, 100, 1, 120)]
    assert notes == [
        f"note: rows of '{file}' that have a box outside of their photo, left out: 1 (first: number 4).",
        f"note: boxes of '{file}' that reach beyond their photo, cut at its edge: 2 (first: number 2).",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "no json",
        '{"images": []}',
        '[{"image": "a"}]',
        '[{"image": "0.png", "ref": 2, "bbox": [1]}]',
        '[{"image": "0.png", "ref": "a", "bbox": ["1", "2", "3", "4"]}]',
        "[" * 100_000,
    ],
    ids=range(6),
)
def test_other_label_files_are_refused(said: str, labels: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(said)
    with pytest.raises(GroundTruthError, match="name such a file"):
        read_expressions(tmp_path / "labels.json", labels)


def test_boxes_without_area_are_left_out_and_said(labels: Path, tmp_path: Path) -> None:
    flat = [[20, 30, -5, 20], [20, 30, 5, 0], [20, 30, float("nan"), 20]]
    rows = [{"image": "0.png", "ref": "a", "bbox": box} for box in (*flat, [20, 30, 5, 5])]
    (tmp_path / "labels.json").write_text(json.dumps(rows))
    notes: list[str] = []
    [found] = read_expressions(tmp_path / "labels.json", labels, notes.append)
    assert found.box == Box(20, 30, 25, 35)
    file = tmp_path / "labels.json"
    assert notes == [f"note: rows of '{file}' that have no box with an area, left out: 3 (first: number 1)."]
    (tmp_path / "labels.json").write_text(json.dumps(rows[:3]))
    with pytest.raises(GroundTruthError, match="no box in"):
        read_expressions(tmp_path / "labels.json", labels)


@pytest.mark.parametrize("form", ["sorec", "coco"])
def test_a_row_that_cannot_be_used_costs_itself_and_is_said(form: str, labels: Path, tmp_path: Path) -> None:
    good = {"image": "0.png", "ref": "a", "bbox": [20, 30, 5, 5]}
    (labels / "damaged.png").write_bytes(b"no picture")
    Image.effect_noise(SIZE, 90).save(labels / "cut.jpg")
    content = (labels / "cut.jpg").read_bytes()
    (labels / "cut.jpg").write_bytes(content[: len(content) * 6 // 10])
    bad = {
        "are not JSON objects": "a",
        "name no photo": {**good, "image": None},
        "have no text": {**good, "ref": " "},
        "have no box of four numbers": {**good, "bbox": [1, 2, "3", 4]},
        "have a photo that is not in the folder": {**good, "image": "away.png"},
        "have a photo that cannot be opened": {**good, "image": "damaged.png"},
        "have a box outside of their photo": {**good, "bbox": [5000, 30, 5, 5]},
    }
    rows: Any = [good, *bad.values(), {**good, "image": "cut.jpg"}, good]
    if form == "coco":
        # No row of COCO has a text of its own.
        bad["name no photo"] = bad.pop("are not JSON objects")
        texts = [row["ref"] for row in rows if isinstance(row, dict)]
        photos = [row["image"] for row in rows if isinstance(row, dict)]
        rows = {
            "images": [{"id": number, "file_name": name} for number, name in enumerate(photos)],
            "categories": [{"id": str(number), "name": text} for number, text in enumerate(texts)],
            "annotations": [
                {"image_id": str(number), "category_id": number, "bbox": row["bbox"]}
                for number, row in enumerate(row for row in rows if isinstance(row, dict))
            ],
        }
        rows["annotations"].insert(1, "a")
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(rows), encoding="utf-8-sig")
    notes: list[str] = []
    found = read_expressions(file, labels, notes.append)
    shown = frozenset("a") if form == "coco" else frozenset()
    assert found == [Expression(labels / "0.png", "a", Box(20, 30, 25, 35), SIZE, shown)] * 2
    assert len([note for note in notes if "cannot be opened, left out: 2 " in note]) == 1
    assert {note.split(" that ", 1)[1].split(", left out")[0] for note in notes} == set(bad)
    assert notes[0].endswith(" (first: number 2).")


def test_a_photo_is_found_however_its_name_is_written(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "été").mkdir()
    (tmp_path / "été" / "0.png").write_bytes((labels / "0.png").read_bytes())
    name = unicodedata.normalize("NFD", "été\\0.png")
    (tmp_path / "labels.json").write_text(json.dumps([{"image": name, "ref": "a", "bbox": [20, 30, 5, 5]}]))
    [found] = read_expressions(tmp_path / "labels.json", tmp_path)
    assert found.photo == tmp_path / "été" / "0.png"


def test_labels_without_their_photos_are_refused(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(GroundTruthError, match="of 6 expressions"):
        read_expressions(labels / "sorec.json", tmp_path)


def test_photos_outside_their_folder_are_not_opened(labels: Path, tmp_path: Path) -> None:
    names = (f"../{labels.name}/0.png", str(labels / "0.png"))
    rows = [{"image": name, "bbox": [1, 1, 5, 5], "ref": "a"} for name in names]
    (tmp_path / "labels.json").write_text(json.dumps(rows))
    with pytest.raises(GroundTruthError, match="of 2 expressions"):
        read_expressions(tmp_path / "labels.json", labels)


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
        assert shares[1:] == pytest.approx([0.05, 0.05])
        assert shares[0] >= 0.05


def test_with_fewer_looks_than_needed_the_first_step_is_longer() -> None:
    target = Box(2000, 5, 2030, 60)
    _, between, last = trajectory(target, (4000, 3000), 2, np.random.default_rng(3), 0.2)
    assert last == target
    assert target.area / between.area == pytest.approx(0.2)
    # The aspect ratio is between the photo's and the target's.
    assert 30 / 55 < (between.x2 - between.x1) / (between.y2 - between.y1) < 4 / 3


def test_a_box_of_a_long_thing_is_cut_at_the_photo() -> None:
    target = Box(10, 500, 3900, 520)
    boxes = trajectory(target, (4000, 3000), 5, np.random.default_rng(3))
    assert len(boxes) > 2
    for outer, inner in pairwise(boxes):
        assert outer.x1 <= inner.x1 <= target.x1 + 1e-6
        assert target.x2 - 1e-6 <= inner.x2 <= outer.x2 + 1e-6


def test_the_base_learns_from_whole_photos_and_from_crops_of_any_size() -> None:
    rng, target = np.random.default_rng(3), Box(2000, 5, 2030, 60)
    crops = [any_crop(target, (4000, 3000), rng) for _ in range(400)]
    assert 150 < sum(crop == Box(0, 0, 4000, 3000) for crop in crops) < 250
    for crop in crops:
        assert crop.x1 <= target.x1 + 1e-6
        assert crop.y2 >= target.y2 - 1e-6
    for low, high in pairwise((30, 100, 300, 1000, 4000)):
        assert any(low <= crop.x2 - crop.x1 < high for crop in crops)


def test_smaller_things_need_more_steps() -> None:
    sides = (3000, 1000, 300, 60, 10, 1)
    steps = [number_of_steps(Box(0, 0, side, side), (4000, 3000), 5) for side in sides]
    assert steps == [1, 1, 2, 3, 4, 5]
    assert number_of_steps(Box(0, 0, 4000, 3000), (4000, 3000), 5) == 1


def test_a_lesson_says_stop_only_at_the_end() -> None:
    boxes = [Box(0, 0, 100, 100), Box(10, 10, 50, 50), Box(20.5, 20, 30, 30)]
    assert lesson(boxes, 0).target == Box(5.25, 5, 45.25, 45)
    assert lesson(boxes, 1).target == boxes[2]
    corner = [Box(0, 0, 100, 100), Box(0, 60, 40, 100), Box(1, 95, 3, 99)]
    assert lesson(corner, 0).target == Box(-18, 77, 22, 117)
    # Of another thing that the crop shows, which may be larger than the next box.
    assert next_box(Box(60, 60, 62, 64), boxes, 0) == Box(41, 42, 81, 82)
    assert next_box(Box(40, 60, 100, 64), boxes, 0) == Box(40, 42, 100, 82)
    assert next_box(Box(30, 30, 40, 35), boxes, 1) == Box(30, 30, 40, 35)
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


def plain_base() -> PizaBase:
    """The golden network's base: configuration, and weights without PIZA's parts."""
    opened = open_released(str(GOLDEN))
    own = ("adapters.", "zoom_embedding.", "history_encoder.")
    weights = {name: each for name, each in opened.network.state_dict().items() if not name.startswith(own)}
    return PizaBase(opened.network.config, opened.tokenizer, weights)


def of_rank(rank: int) -> dict[str, Any]:
    return {"adapter": "lora", "bottleneck": rank, "text_bottleneck": rank + 1}


def low_rank(rank: int = 3) -> PizaNetwork:
    """A network with LoRA whose weights have an effect."""
    network = with_new_parts(plain_base(), replace(open_released(str(GOLDEN)).network.settings, **of_rank(rank)))
    torch.manual_seed(4)
    with torch.no_grad():
        for name, own in network.named_parameters():
            if ".lora_B." in name:
                own.normal_(std=0.1)
    return network.eval()


PIXELS, IDS, ZOOM = torch.linspace(-1, 1, 3 * 64 * 96).view(1, 3, 64, 96), torch.tensor([[101, 9, 1012, 102]]), 0.5


def boxes_of(network: PizaNetwork, zoom: float | None = ZOOM) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network.detect(PIXELS, IDS, None if zoom is None else torch.tensor([zoom])).pred_boxes
    return found


def test_new_low_ranks_change_nothing_and_can_be_switched_off() -> None:
    base, settings = plain_base(), open_released(str(GOLDEN)).network.settings
    fresh = with_new_parts(base, replace(settings, **of_rank(3))).eval()
    plain = with_new_parts(base, settings).eval()
    plain.adapted = False
    assert torch.equal(boxes_of(fresh), boxes_of(plain))
    learned = low_rank()
    assert not torch.equal(boxes_of(learned), boxes_of(plain))
    learned.adapted = False
    assert torch.equal(boxes_of(learned), boxes_of(plain))


def test_a_low_rank_layer_computes_what_the_paper_says() -> None:
    network, seen = low_rank(), {}
    layer: Any = network.model.encoder.layers[0].deformable_layer.fc1
    handle = layer.register_forward_hook(lambda _part, given, out: seen.update(x=given[0], y=out))
    boxes_of(network)
    handle.remove()
    with torch.inference_mode():
        zoom = network.zoom_embedding(torch.tensor([ZOOM]))
        number = network.low_rank.of_image.index(layer)
        inner = layer.lora_A[NAME].weight @ seen["x"][0].T + network.adapters["zoom"][number].weight @ zoom.T
        right = layer.base_layer(seen["x"])[0] + (layer.lora_B[NAME].weight @ inner).T
    assert layer.lora_A[NAME].weight.shape[0] == 3
    text: Any = network.model.encoder.layers[0].text_enhancer_layer.self_attn.query
    assert text.lora_A[NAME].weight.shape[0] == 4
    assert torch.allclose(seen["y"][0], right, atol=1e-5)
    assert not torch.equal(boxes_of(network), boxes_of(network, 0.1))


def test_low_ranks_are_saved_and_opened_again(tmp_path: Path) -> None:
    network = low_rank()
    save(network, open_released(str(GOLDEN)).tokenizer, tmp_path)
    again = open_localiser(str(tmp_path))
    assert isinstance(again, Piza)
    opened = again._detector.network
    assert opened.settings.adapter == "lora"
    assert torch.equal(boxes_of(opened), boxes_of(network))


def test_low_ranks_need_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"install it with `pip install 'sorce\[train\]'`"):
        low_rank()


def test_low_ranks_norms_and_own_parts_learn() -> None:
    network = low_rank()
    choose_learned(network, is_base=False)
    learned = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert {name for name in learned if ".lora_" in name}
    assert not {name for name in learned if ".base_layer." in name}
    assert {name for name in learned if name.startswith("adapters.zoom.")}
    choose_learned(network, is_base=True)
    learned = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert {name for name in learned if ".base_layer." in name}
    assert not {name for name in learned if ".lora_" in name or name.startswith("adapters.")}


def test_low_ranks_learn_after_their_base(labels: Path) -> None:
    plan = TrainingPlan(steps=1, base_steps=1, batch=1, rate=1e-3)
    expressions = read_expressions(labels / "sorec.json", labels)[:1]
    network = low_rank()
    network.settings = replace(network.settings, shorter=64, longer=96)
    trained = Learner(PizaDetector(network, open_released(str(GOLDEN)).tokenizer, "tiny"), expressions, plan)

    def state() -> dict[str, torch.Tensor]:
        return {name: own.detach().clone() for name, own in network.named_parameters()}

    def changed(before: dict[str, torch.Tensor], part: str) -> bool:
        return any(part in name and not torch.equal(own, before[name]) for name, own in network.named_parameters())

    before = state()
    trained.learn()
    assert changed(before, ".base_layer.")
    assert not changed(before, ".lora_")
    before = state()
    trained.learn()
    assert changed(before, ".lora_A.")
    assert changed(before, "adapters.zoom.")
    assert not changed(before, ".base_layer.")


def test_a_prompt_names_each_box_and_leaves_out_what_has_no_room() -> None:
    red, none, blue = (torch.tensor([[101, *ids, 1012, 102]]) for ids in ((7, 8), (9,), (5,)))
    prompt = prompt_of([(red, Box(*RED)), (none, None), (blue, Box(*BLUE))], 99)
    assert prompt.ids.tolist() == [[101, 7, 8, 1012, 9, 1012, 5, 1012, 102]]
    assert prompt.boxes == [Box(*RED), Box(*BLUE)]
    assert [row.nonzero().flatten().tolist() for row in prompt.tokens] == [[1, 2], [6]]
    short = prompt_of([(none, None), (red, Box(*RED)), (blue, Box(*BLUE))], 7)
    assert short.ids.tolist() == [[101, 7, 8, 1012, 5, 1012, 102]]
    stops = prompt_of([(torch.tensor([[101, 1012, 102]]), Box(*RED))], 99)
    assert stops.tokens.tolist() == [[False, True, False]]


def test_the_base_is_asked_for_what_the_crop_shows_and_for_other_texts(labels: Path) -> None:
    expressions = read_expressions(labels / "sorec.json", labels)
    red, blue = expressions[:2]
    absent = [replace(red, photo=labels / "far.png", text=f"thing {number}") for number in range(30)]
    seen: set[tuple[str, Box | None]] = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = chosen(red, Box(0, 0, *SIZE), [red, blue], [*expressions, *absent], rng)
        assert ("red square", red.box) in found
        assert len(found) == len({text for text, _ in found}) <= MOST
        seen |= set(found)
        # The left half does not show the blue one, and no text of the photo is taken for absent.
        for text, box in chosen(red, Box(0, 0, 80, 120), [red, blue], [*expressions, *absent], rng):
            assert text != "blue square"
            assert (box is None) == text.startswith("thing")
    assert ("blue square", blue.box) in seen
    assert [text for text, box in seen if box is None]


def test_a_category_that_a_photo_shows_twice_is_not_taken_for_absent(labels: Path, tmp_path: Path) -> None:
    rows = [(0, 0, RED), (0, 1, RED), (0, 1, BLUE), (1, 1, BLUE)]
    coco = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(2)],
        "categories": [{"id": 0, "name": "kite"}, {"id": 1, "name": "bottle"}],
        "annotations": [
            {"image_id": image, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for image, category, (x1, y1, x2, y2) in rows
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    kite, bottle = read_expressions(tmp_path / "coco.json", labels)
    assert (kite.text, bottle.text) == ("kite", "bottle")
    for seed in range(50):
        rng = np.random.default_rng(seed)
        assert [text for text, _ in chosen(kite, Box(0, 0, *SIZE), [kite], [kite, bottle], rng)] == ["kite"]
        # The second photo shows no kite.
    found = [chosen(bottle, Box(0, 0, *SIZE), [bottle], [kite, bottle], np.random.default_rng(s)) for s in range(50)]
    assert any(("kite", None) in each for each in found)


def test_a_run_that_diverges_ends_with_a_sentence(labels: Path) -> None:
    trained = learner(labels, TrainingPlan(steps=1, batch=1))
    weights: Any = next(iter(trained.detector.network.class_embed.parameters()))
    with torch.no_grad():
        weights.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"the loss of step 1 is not a number; .* lower --rate"):
        trained.learn()


def test_each_box_is_learned_by_one_query() -> None:
    """With the right boxes and names the loss is next to nothing, and each query that finds another thing costs."""
    boxes = torch.tensor([[0.2, 0.2, 0.1, 0.1], [0.7, 0.6, 0.3, 0.2]])
    tokens = torch.tensor([[False, True, True, False], [False, False, False, True]])
    logits = torch.full((3, 4), -20.0)
    logits[1, 1:3] = logits[0, 3] = 20.0
    found = torch.stack([boxes[1], boxes[0], torch.tensor([0.5, 0.5, 0.5, 0.5])])

    def loss(logits: torch.Tensor, found: torch.Tensor) -> float:
        return _one_layer(logits[None], found[None], [boxes], [tokens]).item()

    assert loss(logits, found) < 1e-4
    assert loss(logits[[1, 0, 2]], found) > 1
    assert loss(logits, found[[0, 0, 2]]) > 1


@pytest.mark.parametrize(("by_centre", "learns"), [(True, 0), (False, 1)])
def test_a_box_to_zoom_into_is_learned_by_the_query_at_its_centre(by_centre: bool, learns: int) -> None:
    wide, tokens = torch.tensor([[0.5, 0.5, 0.4, 0.4]]), torch.tensor([[True]])
    # The first is at the thing and small, the second has nearly the right size and is beside it.
    found = torch.tensor([[0.5, 0.5, 0.1, 0.1], [0.4, 0.5, 0.4, 0.4]], requires_grad=True)
    loss: Any = _one_layer(torch.zeros(1, 2, 1), found[None], [wide], [tokens], by_centre=by_centre)
    loss.backward()
    assert found.grad is not None
    assert found.grad.abs().sum(1).nonzero().flatten().tolist() == [learns]


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


def test_two_processes_learn_what_one_learns(labels: Path) -> None:
    # First a step of the base, then one of PIZA, for which the other process needs the weights that the first changed.
    plan, losses = TrainingPlan(steps=1, base_steps=1, batch=3, clip=1e9), list[float]()
    alone = learner(labels, plan)
    alone.lessons.processes = 2
    with learner(labels, plan, processes=2) as shared:
        for step in range(2):
            alone.detector.network.load_state_dict(shared.detector.network.state_dict())
            loss, gradients = 0.0, list[torch.Tensor]()
            for process in range(2):
                loss += alone.lessons.gradients(step, process)
                gradients.append(torch.cat([_gradient(each).flatten() for each in alone.lessons.learned()]))
            losses.append(shared.learn())
            assert losses[-1] == pytest.approx(loss, rel=1e-3)
            together = torch.cat([_gradient(each).flatten() for each in shared.lessons.learned()])
            assert all(each.any() for each in gradients)
            assert torch.allclose(gradients[0] + gradients[1], together, atol=1e-3)
    assert losses[0] != losses[1]


def test_each_process_has_a_part_of_a_small_batch(labels: Path) -> None:
    lessons = learner(labels, TrainingPlan(steps=1, base_steps=9, batch=4)).lessons
    assert [len(numbers) for numbers in lessons.passes(0)] == [4]
    lessons.processes = 2
    assert [len(numbers) for numbers in lessons.passes(0)] == [2, 2]


def test_photos_learned_together_give_what_each_alone_gives(labels: Path) -> None:
    lessons = learner(
        labels, TrainingPlan(steps=1), expressions=read_expressions(labels / "sorec.json", labels)
    ).lessons
    network: Any = lessons.detector.network.eval()
    photo, rng = Image.open(labels / "0.png"), np.random.default_rng(3)
    asked, things = lessons.expressions[0], [("red square", Box(*RED)), ("a blue square of a longer name", Box(*BLUE))]
    seen = [
        lessons._view(photo, Exercise(asked, Box(0, 0, *SIZE), things[:count], zoom, rng))
        for count, zoom in ((1, 0.2), (2, 0.6))
    ]

    def loss(several: list[CropInput]) -> float:
        batch = stacked(several)
        output = network.detect(batch.pixels, batch.ids, batch.zooms, batch.words)
        return detection_loss(network, output, batch.boxes, batch.tokens).item()

    with torch.inference_mode():
        assert seen[0].said.ids.shape < seen[1].said.ids.shape
        assert loss(seen) == pytest.approx(loss(seen[:1]) + loss(seen[1:]), rel=1e-4)


def test_a_smaller_crop_is_extended_to_the_right_and_below(labels: Path) -> None:
    lessons = learner(labels, TrainingPlan(steps=1)).lessons
    photo, rng = Image.open(labels / "0.png"), np.random.default_rng(3)
    [asked] = lessons.expressions
    crops = (Box(0, 0, *SIZE), Box(20, 0, 60, 120))
    seen = [lessons._view(photo, Exercise(asked, crop, [("red square", Box(*RED))], None, rng)) for crop in crops]
    batch = stacked(seen)
    (wide, tall), pixels = batch.pixels.shape[:1:-1], seen[1].pixels
    assert torch.equal(batch.pixels[1:, :, : pixels.shape[2], : pixels.shape[3]], pixels)
    for one, own, box in zip(seen, batch.boxes, (Box(*RED), Box(0, 30, 24, 50)), strict=True):
        scale = one.pixels.shape[-1] / (160 if one is seen[0] else 40)
        assert own[0, 2].item() == pytest.approx((box.x2 - box.x1) * scale / wide, rel=0.05)
        assert own[0, 1].item() == pytest.approx((box.y1 + box.y2) / 2 * scale / tall, rel=0.05)


def test_crops_of_a_like_shape_are_learned_together(labels: Path) -> None:
    lessons = learner(labels, TrainingPlan(steps=1, base_steps=9, batch=10)).lessons
    passes = lessons.passes(3)
    assert sorted(number for numbers in passes for number in numbers) == list(range(10))
    assert [len(numbers) for numbers in passes] == [4, 4, 2]
    aspects = [
        [
            (crop.x2 - crop.x1) / (crop.y2 - crop.y1)
            for crop in (lessons._exercise(3, number).crop for number in numbers)
        ]
        for numbers in passes
    ]
    assert max(aspects[0]) <= min(aspects[1]) + 0.05


def test_large_photos_are_learned_one_by_one(labels: Path) -> None:
    lessons = learner(labels, TrainingPlan(steps=1, batch=3)).lessons
    lessons.detector.network.settings = replace(lessons.detector.settings, shorter=800, longer=1333)
    assert [len(numbers) for numbers in lessons.passes(0)] == [1, 1, 1]


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def test_a_copy_of_a_network_has_its_own_adapters(labels: Path) -> None:
    detector = learner(labels, TrainingPlan(steps=1)).detector
    other = deepcopy(detector)
    ids, pixels = detector.tokens("red square"), torch.rand(1, 3, 64, 96)
    detector.network.eval()
    other.network.eval()
    with torch.inference_mode():
        before = other.network.detect(pixels, ids, torch.tensor([0.5])).logits
        detector.network.adapted = False
        assert torch.equal(other.network.detect(pixels, ids, torch.tensor([0.5])).logits, before)
        assert not torch.equal(detector.network.detect(pixels, ids, torch.tensor([0.5])).logits, before)


def test_a_photo_that_is_damaged_later_is_replaced_by_another_one(labels: Path, tmp_path: Path) -> None:
    [good] = read_expressions(labels / "sorec.json", labels)[:1]
    (tmp_path / "gone.png").write_bytes(b"no picture")
    gone, larger = replace(good, photo=tmp_path / "gone.png"), replace(good, size=(320, 240))
    plan = TrainingPlan(steps=1, batch=4)
    trained = learner(labels, plan, expressions=[gone, good, larger])
    assert trained.learn() > 0
    assert 0 <= (accuracy(trained.detector, [good, gone]) or 0) <= 0.5
    with pytest.raises(BadPhoto, match=r"photos cannot be opened, such as .*gone\.png.*; put them back"):
        learner(labels, plan, expressions=[gone]).learn()
    with pytest.raises(BadPhoto, match=r"photos have another size than before, such as .*0\.png.*; put the old ones"):
        learner(labels, plan, expressions=[larger]).learn()


def test_a_history_is_learned_in_the_photo_of_its_expression(labels: Path) -> None:
    trained = learner(labels, TrainingPlan(steps=1, batch=1))
    [red] = trained.lessons.expressions
    trained.lessons.expressions = [red, Expression(red.photo, "far", Box(4000, 2000, 4100, 2050), (6000, 3000))]
    rng = np.random.default_rng(1)
    lessons = [trained.lessons._history_lesson(rng).history for _ in range(40)]
    assert {rows[0] for rows in lessons} == {(0, 0, *SIZE), (0, 0, 6000, 3000)}
    assert {rows[-1] for rows in lessons if len(rows) == 4} == {(4000, 2000, 100, 50)}


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_given: Any, **_more: Any) -> None:
        raise error

    return fail


def test_a_full_disk_is_named(labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = learner(labels, TrainingPlan(steps=1))
    for error in (RuntimeError("failed writing file"), OSError(28, "No space left on device")):
        monkeypatch.setattr(torch, "save", failing(error))
        with pytest.raises(ModelError, match="the checkpoint cannot be written"):
            trained.save(tmp_path)
    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", failing(SafetensorError("No space left")))
    with pytest.raises(ModelError, match="cannot be written"):
        save(trained.detector.network, open_released(str(GOLDEN)).tokenizer, tmp_path)


class Evil:
    def __reduce__(self) -> Any:
        return (Path("run").touch, ())


@pytest.mark.parametrize("said", [b"junk", {"plan": Evil()}, [1], {}])
def test_a_checkpoint_of_another_kind_is_refused(
    said: Any, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if isinstance(said, bytes):
        (tmp_path / "training.pt").write_bytes(said)
    else:
        torch.save(said, tmp_path / "training.pt")
    with pytest.raises(ModelError, match=r"no checkpoint of a training|other settings"):
        learner(labels, TrainingPlan(steps=1)).resume(tmp_path)
    assert not (tmp_path / "run").exists()


def test_the_command_trains_low_ranks_and_keeps_those_of_a_base(labels: Path, tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "trained"
    save(low_rank(), open_released(str(GOLDEN)).tokenizer, base)
    given = ["piza", str(labels / "sorec.json"), str(labels), str(out), "--base", str(base), "--batch", "1"]
    given += ["--longest", "64", "--held-out", "0", "--steps", "1"]
    refused = CliRunner().invoke(train, [*given, "--adapter", "adapter+"])
    assert "the base is a PIZA with adapter lora" in str(refused.exception)
    refused = CliRunner().invoke(train, [*given, "--bottleneck", "9"])
    assert "the base is a PIZA with bottleneck 3" in str(refused.exception)
    done = CliRunner().invoke(train, [*given, "--adapter", "lora"])
    assert done.exit_code == 0, done.output
    assert isinstance(open_localiser(str(out)), Piza)


def test_new_parts_have_the_published_sizes() -> None:
    assert new_settings("adapter+", None).bottleneck == 256
    assert new_settings("lora", None).bottleneck == 16
    assert new_settings("lora", 4).bottleneck == 4


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


def small(labels: Path, out: Path, *more: str) -> list[str]:
    given = ["piza", str(labels / "sorec.json"), str(labels), str(out), "--base", str(GOLDEN), "--batch", "1"]
    return [*given, "--longest", "64", "--held-out", "1", *more]


def test_a_run_that_was_stopped_while_it_wrote_its_result_goes_on(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_network: Any, _tokenizer: Any, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise ModelError("stopped")

    given = small(labels, tmp_path / "out", "--steps", "1", "--json")
    with monkeypatch.context() as patch:
        patch.setattr("sorce.locate.piza.training.running.save", stopped)
        assert "stopped" in str(CliRunner().invoke(train, given).exception)
    done = CliRunner().invoke(train, given)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["loss"] is None
    assert open_piza(str(tmp_path / "out")).name == str(tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_refused_before_any_step(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Learner, "learn", lambda _self: pytest.fail("a step"))
    (tmp_path / "file").touch()
    done = CliRunner().invoke(train, small(labels, tmp_path / "file" / "out"))
    assert isinstance(done.exception, SorceError)
    assert "cannot be written to" in str(done.exception)


def test_without_a_terminal_each_checkpoint_is_a_line(labels: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(train, small(labels, tmp_path / "out", "--steps", "3", "--every", "2"))
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stderr.splitlines() if line.startswith("step ")]
    assert [line.split(": loss ")[0] for line in lines] == ["step 2 of 3", "step 3 of 3"]
    assert all(", Acc50 " in line for line in lines)
