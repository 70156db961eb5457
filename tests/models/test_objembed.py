"""ObjEmbed on a tiny checkpoint of its layout: regions, texts, the recipe, and errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sorce.errors import BadPhoto, ModelError
from sorce.mappings import Box, Picture, Region, Vector
from sorce.models import load_encoder, load_model
from sorce.models.checkpoint import find
from sorce.models.objembed.network import Network, sines
from sorce.models.objembed.preprocessing import fitted, scaled
from sorce.models.objembed.prompts import about_photo, with_boxes
from sorce.models.objembed.settings import MAX_BOXES, MAX_REGIONS, ObjEmbedSettings
from tests.kit import chat, objembed, owl, tiny

CLOSE = 1e-5
NAME = "photo.png"
BOXES = np.array([[10, 20, 60, 50], [0, 0, 4, 3], [30.5, 2, 90, 70], [80, 60, 90, 70]], np.float32)

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return objembed.objembed(tmp_path_factory.mktemp("objembed") / "model")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(owl.owlv2(tmp_path_factory.mktemp("owl")))


@pytest.fixture(scope="module")
def photo() -> Picture:
    return Picture(Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)), NAME)


@pytest.fixture
def opened(folder: Path, tmp_path: Path) -> Make:
    """A model with these boxes of the photo."""

    def with_given(boxes: Vector = BOXES, model: Path = folder, **parameters: Any) -> Any:
        file = objembed.write_boxes(tmp_path / "boxes.jsonl", {NAME: boxes})
        return load_model(str(model), "objembed", {"detector": file, **parameters}, "cpu")

    return with_given


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may spoil."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def vectors(regions: list[Region]) -> Vector:
    return np.stack([region.vec for region in regions])


def test_the_whole_photo_comes_first_then_the_boxes_with_their_predicted_iou(opened: Make, photo: Picture) -> None:
    [regions] = opened().embed_photos([photo])
    assert [region.kind for region in regions] == ["whole", *["object"] * 4]
    assert [region.box.as_tuple() for region in regions] == [(0, 0, 90, 70), *map(tuple, BOXES.tolist())]
    assert regions[0].quality == 0
    assert all(0 < region.quality < 1 for region in regions[1:])
    assert len({region.quality for region in regions}) == 5
    assert vectors(regions).dtype == np.float32
    assert np.linalg.norm(vectors(regions), axis=1) == pytest.approx(np.ones(5), abs=1e-6)


def test_a_photo_takes_one_pass(opened: Make, photo: Picture) -> None:
    model = opened()
    network, passes = model._opened.network, []
    for part in (network, network.model.visual, network.model.language_model):
        part.register_forward_hook(lambda part, *_: passes.append(type(part).__name__))
    model.embed_photos([photo, photo])
    assert sorted(passes) == sorted(["Network", "Qwen3VLVisionModel", "Qwen3VLTextModel"] * 2)


def test_the_boxes_change_objects_that_follow_them_and_not_the_whole_photo(opened: Make, photo: Picture) -> None:
    [few], [all_four] = opened(BOXES[:2]).embed_photos([photo]), opened().embed_photos([photo])
    [others] = opened(BOXES[2:]).embed_photos([photo])
    assert vectors(all_four)[:3] == pytest.approx(vectors(few), abs=CLOSE)
    assert others[0].vec == pytest.approx(all_four[0].vec, abs=CLOSE)
    assert np.abs(vectors(others)[1:] - vectors(all_four)[3:]).max() > 100 * CLOSE


def test_a_photo_without_boxes_is_the_whole_photo(opened: Make, photo: Picture) -> None:
    [[region]] = opened(np.zeros((0, 4))).embed_photos([photo])
    assert (region.kind, region.box) == ("whole", Box(0, 0, 90, 70))
    assert region.vec == pytest.approx(opened().embed_photos([photo])[0][0].vec, abs=CLOSE)


def test_of_a_detectors_boxes_the_best_are_kept_in_its_order(folder: Path, detector: str, photo: Picture) -> None:
    parameters = {"detector": detector, "max_regions": 6}
    [regions] = load_model(str(folder), "objembed", parameters, "cpu").embed_photos([photo])
    proposed = load_model(detector, "objects", {"vectors": "owl", "max_regions": 200}, "cpu").embed_photos([photo])[0]
    assert len(proposed) > 6
    assert [region.box for region in regions] == [region.box for region in proposed[:6]]
    assert [region.quality for region in regions] != [region.quality for region in proposed[:6]]


def test_a_detector_that_finds_too_much_is_cut_to_what_the_model_takes(
    folder: Path, detector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No two boxes count as the same object here, so that only the worst are left out.
    monkeypatch.setattr("sorce.models.objects.proposals.SAME", 1.0)
    large = Picture(Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)))
    [proposed] = load_model(detector, "objects", {"vectors": "owl", "max_regions": 1000}, "cpu").embed_photos([large])
    [regions] = load_model(str(folder), "objembed", {"detector": detector}, "cpu").embed_photos([large])
    assert len(proposed) > MAX_REGIONS
    assert [region.box for region in regions] == [region.box for region in proposed[:MAX_REGIONS]]


def test_the_prompts_follow_the_checkpoints_number_of_global_tokens() -> None:
    image = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Look. "
    pairs = "Object 0: <object><object>. Object 1: <object><object>. "
    assert [with_boxes(about_photo("Look. ", tokens), 2) for tokens in (0, 1, 2)] == [
        f"{image}{pairs}The global image is <global><|im_end|>",
        f"{image}The global image is <global>. {pairs}The global image is <global><|im_end|>",
        f"{image}The coarse global image is <global>. {pairs} The detailed global image is <global>. <|im_end|>",
    ]


@pytest.mark.parametrize(("said", "tokens"), [(None, 1), (0, 1), (1, 2)])
def test_other_numbers_of_global_tokens_are_read(
    said: int | None, tokens: int, opened: Make, photo: Picture, tmp_path: Path
) -> None:
    model = opened(model=objembed.objembed(tmp_path / "model", said))
    assert model.recipe.prompts["photo"].count("<global>") == tokens
    [regions] = model.embed_photos([photo])
    assert len(regions) == 5


def test_the_instruction_is_chosen_at_index_time(opened: Make, photo: Picture) -> None:
    referring, detection = opened(), opened(instruction="detection")
    assert "Locate the specific object" in referring.recipe.prompts["photo"]
    assert "Detect all objects" in detection.recipe.prompts["photo"]
    one, other = (vectors(model.embed_photos([photo])[0]) for model in (referring, detection))
    assert np.abs(one - other).max(1).min() > 100 * CLOSE
    assert referring.embed_texts(["a cup"]) == pytest.approx(detection.embed_texts(["a cup"]), abs=CLOSE)


@pytest.mark.parametrize("size", [(90, 70), (1, 1), (4000, 3000), (500, 2999), (1023, 1025)])
def test_photos_have_900_to_1200_tokens_of_32_pixels(size: tuple[int, int]) -> None:
    down, across, _ = fitted(Image.new("RGB", size), 32).shape
    assert down % 32 == across % 32 == 0
    assert 900 <= down * across / 32**2 <= 1200
    assert across / down == pytest.approx(size[0] / size[1], rel=0.08)


def test_boxes_keep_their_place_when_the_network_runs_in_half_precision(folder: Path) -> None:
    view = np.zeros((960, 1280, 3), np.uint8)
    # In bfloat16, all corners would be 3,008 or 3,024: the boxes would have no area, and the same position.
    boxes = scaled(np.array([[3009, 3009, 3014, 3014], [3011, 3011, 3014, 3014]], np.float32), 4096, 3072, view)
    assert boxes.dtype == torch.float32
    assert boxes[1].tolist() == pytest.approx([3011 / 3.2] * 2 + [3014 / 3.2] * 2)
    network = Network.from_pretrained(folder, dtype=torch.float32)
    maps = [torch.randn((64, 30 * 40), generator=torch.manual_seed(0)).T for _ in range(3)]
    with torch.inference_mode():
        exact = network.pairs(maps, boxes, 30, 40)
        network.to(torch.bfloat16)
        half = network.pairs([each.bfloat16() for each in maps], boxes, 30, 40).float()
        rounded = network.pairs([each.bfloat16() for each in maps], boxes.bfloat16().float(), 30, 40).float()
    apart = (exact[0] - exact[2]).norm()
    assert (half - exact).norm(dim=1).max() < 0.1 * exact.norm(dim=1).min()
    assert (half[0] - half[2]).norm() == pytest.approx(apart, rel=0.5)
    assert (half - exact).norm(dim=1).max() < 0.5 * (rounded - exact).norm(dim=1).max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_regions(
    dtype: torch.dtype, opened: Make, photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = opened()
    monkeypatch.setattr("sorce.models.objembed.loading.number_format", lambda *_: dtype)
    half = opened()
    assert half._opened.network.model.dtype == dtype
    assert half.recipe == exact.recipe
    [one], [other] = exact.embed_photos([photo]), half.embed_photos([photo])
    assert [region.box for region in one] == [region.box for region in other]
    assert [region.quality for region in one] == pytest.approx([region.quality for region in other], abs=0.02)
    assert (vectors(one) * vectors(other)).sum(1).min() > 0.995
    assert half.embed_texts(["a cup"]) == pytest.approx(exact.embed_texts(["a cup"]), abs=0.05)


def test_waves_alternate_between_sine_and_cosine() -> None:
    [found] = sines(torch.tensor([[0.25, 1.0]]), 8)
    slower = 2 * np.pi / 10000 ** (2 / 4)
    expected = [
        *(np.sin(np.pi / 2), np.cos(np.pi / 2), np.sin(slower / 4), np.cos(slower / 4)),
        *(np.sin(2 * np.pi), np.cos(2 * np.pi), np.sin(slower), np.cos(slower)),
    ]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_texts_together_get_the_vectors_they_get_alone(opened: Make) -> None:
    model = opened()
    texts = ["", "a", "a red cup " * 30, "Ünïcode 雪"]
    alone = np.concatenate([model.embed_texts([text]) for text in texts])
    assert model.embed_texts(texts) == pytest.approx(alone, abs=CLOSE)
    assert np.linalg.norm(alone, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert model.embed_texts([]).shape == (0, 64)


@pytest.mark.parametrize("text", ["<local_text>", "cup<|im_end|>", "<object>" * 9, "<|image_pad|>", "\ud800"])
def test_no_text_ends_its_own_turn_or_stops_a_search(text: str, opened: Make) -> None:
    found = opened().embed_texts([text, "a ball"])
    assert found[1] == pytest.approx(opened().embed_texts(["a ball"])[0], abs=CLOSE)
    assert np.abs(found[0] - opened().embed_texts([""])[0]).max() > 100 * CLOSE


def test_the_recipe_holds_what_decides_the_vectors_and_the_scores(folder: Path, detector: str) -> None:
    recipe = load_model(str(folder), "objembed", {"detector": detector}, "cpu").recipe
    assert (recipe.model, recipe.revision, recipe.regions) == ("folder", find(str(folder)).revision, "objembed")
    assert (recipe.dimension, recipe.backend) == (64, "pillow-bicubic+pillow-bilinear")
    name = f"folder@{find(detector).revision}"
    assert recipe.parameters == {"detector": name, "max_regions": 101, "min_quality": 0.0, "instruction": "referring"}
    assert recipe.matching == {"scale": pytest.approx(np.exp(objembed.SCALE)), "bias": objembed.BIAS}
    assert recipe.prompts["text"].count("<local_text>") == 1
    # The stored recipe is read back unchanged, so that a second ingest has the same recipe.
    assert json.loads(json.dumps(recipe.to_meta())) == recipe.to_meta()


def test_scale_and_bias_are_the_same_in_half_precision(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["logit_log_scale"] += 0.0123
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    exact, half = (Network.from_pretrained(copy, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert half.model.dtype == torch.bfloat16
    assert exact.matching() == half.matching() == {"scale": pytest.approx(np.exp(3.0123), abs=1e-5), "bias": -9}


def test_an_index_is_continued_and_searched_by_its_recipe(folder: Path, detector: str) -> None:
    model = load_model(str(folder), "objembed", {"detector": detector, "max_regions": 5}, "cpu")
    again = {**model.recipe.parameters, "detector": detector}
    assert load_model(str(folder), "objembed", again, "cpu").recipe == model.recipe
    texts = load_encoder(model.recipe, "cpu", str(folder))
    assert texts.embed_texts(["a cup"]) == pytest.approx(model.embed_texts(["a cup"]), abs=CLOSE)


@pytest.mark.parametrize(
    "name", ["logit_bias", "logit_pos_embedding.weight", "model.merge.weight", "logit_iou_proj.2.bias"]
)
def test_a_checkpoint_without_a_part_is_refused_by_the_parts_name(name: str, copy: Path, opened: Make) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights[name]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError) as refusal:
        opened(model=copy)
    assert str(refusal.value) == (
        f"model '{copy}' lacks the parameter '{name}', and without it is no ObjEmbed; "
        "fetch or save it again, or choose one such as fushh7/ObjEmbed-2B."
    )


def test_a_plain_qwen3_vl_is_no_objembed(copy: Path, opened: Make, tmp_path: Path) -> None:
    plain = chat.qwen3(tmp_path / "plain")
    with pytest.raises(ModelError, match=r"has no token <object>, which ObjEmbed reads; fetch or save it again"):
        opened(model=plain)
    config = json.loads((copy / "config.json").read_text())
    (plain / "config.json").write_text(json.dumps(config | {"image_token_id": 7}))
    for file in copy.glob("*token*"):
        shutil.copy(file, plain)
    with pytest.raises(ModelError, match=r"has no token <\|image_pad\|> of number 7, which ObjEmbed reads"):
        opened(model=plain)
    shutil.copy(plain / "model.safetensors", copy)
    with pytest.raises(ModelError, match=r"lacks the parameter 'logit_bias' and 30 more, and without it is no"):
        opened(model=copy)


def test_another_family_is_refused(opened: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is a clip, and ObjEmbed is a qwen3_vl; choose one such as fushh7/ObjEmbed"):
        opened(model=tiny.clip(tmp_path / "clip"))


def test_an_unknown_number_of_global_tokens_is_refused(opened: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="says use_two_tokens=3, and ObjEmbed has 0, 1 or 2; fetch it again"):
        opened(model=objembed.objembed(tmp_path / "three", 3))


def test_damaged_weights_are_said_to_be(copy: Path, opened: Make, photo: Picture) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["model.language_model.norm.weight"].fill_(torch.nan)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    model = opened(model=copy)
    for embed in (lambda: model.embed_photos([photo]), lambda: model.embed_texts(["a cup"])):
        with pytest.raises(ModelError, match="zero or no number: its weights may be damaged"):
            embed()


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([[0, 0, 91, 70]], r"box 1 of photo 'photo.png' in 'boxes.jsonl', .* is not inside its 90 x 70 pixels"),
        ([[0, 0, 5, 5], [7, 7, 7, 9]], r"box 2 of photo 'photo.png' .* has no area"),
        ([[0, 0, 5, 5]] * (MAX_BOXES + 1), r"has 101 boxes in 'boxes.jsonl', and at most 100 are taken"),
    ],
)
def test_boxes_that_the_model_cannot_take_reject_the_photo_before_it_is_encoded(
    boxes: list[list[float]], said: str, opened: Make, photo: Picture
) -> None:
    with pytest.raises(BadPhoto, match=said):
        opened(np.array(boxes)).prepare(photo)


def test_as_many_boxes_as_the_model_takes_are_taken(opened: Make, photo: Picture) -> None:
    [regions] = opened(np.repeat(BOXES, MAX_BOXES // 4, axis=0)).embed_photos([photo])
    assert len(regions) == MAX_REGIONS


def test_a_photo_too_narrow_for_the_network_is_a_bad_photo(opened: Make) -> None:
    with pytest.raises(BadPhoto, match="1 x 201 px is too narrow"):
        opened().prepare(Picture(Image.new("RGB", (1, 201)), NAME))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"max_regions": 0}, "max_regions=0 is out of range; ObjEmbed takes 1 to 101: "),
        ({"max_regions": 102}, "the whole photo and the 100 boxes that it was published with."),
        ({"min_quality": 1.5}, "min_quality=1.5 is out of range; choose 0 to 1, such as 0."),
        ({"instruction": "find"}, "instruction=find is not known; choose referring or detection."),
    ],
)
def test_settings_that_make_no_sense_are_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as refusal:
        ObjEmbedSettings(**parameters)
    assert said in str(refusal.value)
