"""The localiser `piza`: photos of any kind, forms of its weights, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from transformers import MMGroundingDinoForObjectDetection

from sorce.errors import ModelError
from sorce.locate import open_localiser
from sorce.locate.piza.convert import convert
from sorce.locate.piza.detector import Detections, PizaDetector
from sorce.locate.piza.loading import OpenedPiza, open_piza, open_released
from sorce.locate.piza.localiser import Piza
from sorce.locate.piza.preprocessing import prompt, resized_size, token_strides, with_enough_tokens
from sorce.locate.piza.released import released_config
from sorce.locate.piza.saving import save
from sorce.locate.piza.settings import PizaSettings
from sorce.mappings import Box, Picture
from sorce.mappings.located import LocateRequest
from tests.kit.detectors import without_shares
from tests.kit.piza import GOLDEN, one_thread

TEXTS = ("the small red square", "a blue circle (left)?", "bar")


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def opened() -> OpenedPiza:
    return open_released(str(GOLDEN))


@pytest.fixture
def piza(opened: OpenedPiza, monkeypatch: pytest.MonkeyPatch) -> Piza:
    """Its settings may be changed by `changed`."""
    monkeypatch.setattr(opened.network, "settings", opened.network.settings)
    return Piza(PizaDetector(opened.network.eval(), opened.tokenizer, "tiny"))


def changed(opened: OpenedPiza, **settings: Any) -> None:
    opened.network.settings = replace(opened.network.settings, **settings)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "model.safetensors")


def photo(number: int) -> Image.Image:
    with np.load(GOLDEN / "inputs.npz") as inputs:
        return Image.fromarray(inputs[f"image{number}"])


def request(image: Image.Image, text: str = TEXTS[0], box: Box | None = None) -> LocateRequest:
    return LocateRequest(Picture(image), text, box)


def test_many_photos_and_one_at_a_time_agree(piza: Piza, opened: OpenedPiza) -> None:
    changed(opened, steps=2)
    requests = [request(photo(number), text) for number, text in enumerate(TEXTS)]
    together = piza.locate(requests, boxes=3)
    assert together == [piza.locate([one], boxes=3)[0] for one in requests]
    assert len({located.box for located in together}) == 3


def test_the_answer_has_the_crops_and_the_last_steps_best_box(piza: Piza) -> None:
    [located] = piza.locate([request(photo(0))])
    assert located.steps[0] == Box(0, 0, 640, 480)
    assert located.instances[0].box == located.box
    assert located.instances[0].score == located.score
    assert 0 < located.score < 1


def test_other_instances_are_apart_and_above_the_floor(piza: Piza, opened: OpenedPiza) -> None:
    changed(opened, steps=1)
    [all_of_them] = piza.locate([request(photo(0))], boxes=100)
    [first, second, *others] = all_of_them.instances
    for number, one in enumerate(all_of_them.instances):
        assert all(one.box.iou(other.box) <= 0.5 for other in all_of_them.instances[:number])
    [above] = piza.locate([request(photo(0))], boxes=100, min_score=second.score)
    assert above.instances == (first, second)
    assert others
    assert piza.locate([request(photo(0))], boxes=2)[0].instances == (first, second)
    # The best one is the answer, however low its score is.
    assert piza.locate([request(photo(0))], min_score=1.0)[0].box == first.box


def test_the_indexs_box_is_not_used(piza: Piza) -> None:
    assert piza.locate([request(photo(0), box=Box(1, 2, 30, 40))]) == piza.locate([request(photo(0))])


def test_a_stop_before_the_first_step_gives_the_whole_photo(piza: Piza, opened: OpenedPiza) -> None:
    changed(opened, stop_at=0.0)
    [located] = piza.locate([request(photo(1))], boxes=5)
    assert located.box == Box(0, 0, 333, 500)
    assert (located.score, located.steps, len(located.instances)) == (0.0, (Box(0, 0, 333, 500),), 1)


@pytest.mark.parametrize("corners", [(30.2, 40.9, 30.7, 80.0), (640.0, 480.0, 640.0, 480.0), (-0.0, 5.0, 640.0, 5.0)])
def test_an_empty_crop_ends_the_loop(piza: Piza, corners: tuple[float, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    found = Detections(torch.tensor([corners]), torch.tensor([0.5]))
    monkeypatch.setattr(PizaDetector, "detect", lambda *_given: found)
    [located] = piza.locate([request(photo(0))])
    assert located.steps == (Box(0, 0, 640, 480),)
    assert located.box.iou(Box(0, 0, 640, 480)) > 0


def test_a_box_at_the_border_is_looked_at_again(
    piza: Piza, opened: OpenedPiza, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(opened, stop_at=2.0)
    sizes: list[tuple[int, int]] = []

    def detect(_detector: PizaDetector, crop: Image.Image, *_given: Any) -> Detections:
        sizes.append(crop.size)
        width, height = crop.size
        return Detections(torch.tensor([[width / 2, height / 2, float(width), float(height)]]), torch.tensor([0.5]))

    monkeypatch.setattr(PizaDetector, "detect", detect)
    [located] = piza.locate([request(photo(0))])
    assert sizes == [(640, 480), (320, 240), (160, 120), (80, 60), (40, 30)]
    assert located.box == Box(620, 465, 640, 480)


@pytest.mark.parametrize("size", [(1, 1), (10_000, 100), (1, 3000)])
def test_photos_of_any_size_give_a_box_inside(piza: Piza, opened: OpenedPiza, size: tuple[int, int]) -> None:
    noise = Image.effect_noise(size, 90).convert("RGB")
    for shorter, longer in ((160, 267), (8, 16)):
        # With the smaller rule there are fewer tokens than queries, as with 900 queries for a real network.
        changed(opened, shorter=shorter, longer=longer, steps=2)
        [located] = piza.locate([request(noise)])
        assert 0 <= located.box.x1 < located.box.x2 <= size[0]
        assert 0 <= located.box.y1 < located.box.y2 <= size[1]


def test_an_input_with_enough_tokens_is_not_extended() -> None:
    strides = [8, 16, 32, 64]
    assert with_enough_tokens(torch.zeros(1, 3, 800, 1333), strides, 900).shape[-2:] == (800, 1333)
    assert with_enough_tokens(torch.zeros(1, 3, 13, 1333), strides, 900).shape[-2:] == (37, 1333)


@pytest.mark.parametrize(
    ("stages", "levels", "strides"),
    [
        ((2, 3, 4), 4, [8, 16, 32, 64]),
        ((1, 2, 3, 4), 5, [4, 8, 16, 32, 64]),
        ((3, 4), 2, [16, 32]),
        ((4,), 2, [32, 64]),
    ],
)
def test_tokens_are_counted_as_the_network_makes_them(stages: Any, levels: int, strides: list[int]) -> None:
    said = json.loads((GOLDEN / "config.json").read_text())
    swin = {**said["swin"], "out_indices": [stage - 1 for stage in stages]}
    config = released_config({**said, "num_feature_levels": levels, "swin": swin})
    assert token_strides(config) == strides
    made: list[int] = []
    model = MMGroundingDinoForObjectDetection(config).eval().model
    model.encoder.register_forward_pre_hook(
        lambda _part, _given, named: made.append(named["vision_features"].shape[1]), with_kwargs=True
    )
    # A crop with exactly as many tokens as the network has queries.
    fits = with_enough_tokens(torch.zeros(1, 3, 1, 200), strides, config.num_queries)
    tokens = torch.tensor([[101, 200, 1012, 102]])
    with torch.inference_mode():
        model(pixel_values=fits, input_ids=tokens)
    assert made[0] >= config.num_queries


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA"])
def test_a_picture_in_other_colours_is_read_as_rgb(piza: Piza, opened: OpenedPiza, mode: str) -> None:
    changed(opened, steps=1)
    image = photo(2).convert(mode)
    assert piza.locate([request(image)]) == piza.locate([request(image.convert("RGB"))])


def test_texts_of_any_length_and_characters_give_a_box(piza: Piza, opened: OpenedPiza) -> None:
    changed(opened, steps=1)
    for text in ("red " * 1000, "", ".", "(all in brackets)", "half of a pair \ud800", "[SEP] [CLS]"):
        assert piza.locate([request(photo(2), text)])[0].box.area > 0


def test_a_size_is_truncated_and_never_zero() -> None:
    settings = PizaSettings("demo", 4, 4)
    assert resized_size(1920, 1080, settings) == (1333, 749)
    assert resized_size(100_000, 10, settings) == (1333, 1)


def test_the_two_prompts_differ_in_brackets_and_stops() -> None:
    assert prompt("A_cup (the left one).", "evaluation") == "A_cup (the left one)."
    assert prompt("A_cup (the left one).", "demo") == "A cup .. "


@pytest.mark.parametrize("text", ["a (b) c (d) e", "a (b (c) d) e"])
def test_the_demos_prompt_is_cut_from_the_first_bracket_to_the_last(text: str) -> None:
    assert prompt(text, "demo") == "a e. "


def test_a_box_ends_with_the_photo(piza: Piza, opened: OpenedPiza, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(opened, shorter=160, longer=267, stop_at=2.0)

    def detect(_network: Any, pixels: torch.Tensor, *_given: Any) -> Any:
        # To the corner of the crop, of which the input may be an extension.
        end = torch.tensor([267, 26]) / torch.tensor([pixels.shape[-1], pixels.shape[-2]])
        return SimpleNamespace(pred_boxes=torch.cat([end * 0.75, end * 0.5])[None, None], logits=torch.zeros(1, 1, 1))

    monkeypatch.setattr(type(opened.network), "detect", detect)
    changed(opened, steps=1)
    [located] = piza.locate([request(Image.new("RGB", (1000, 100)))])
    assert (located.box.x2, located.box.y2) == (1000, 100)


def test_a_saved_piza_is_opened_again_by_its_folder(piza: Piza, tmp_path: Path) -> None:
    done = CliRunner().invoke(convert, [str(GOLDEN), str(tmp_path / "saved")])
    assert done.exit_code == 0, done.output
    assert "variant evaluation" in done.output
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        file.name for file in (tmp_path / "saved").iterdir()
    }
    for again in (open_piza(str(tmp_path / "saved")), open_localiser(str(tmp_path / "saved"))):
        assert again.locate([request(photo(0))], boxes=4) == piza.locate([request(photo(0))], boxes=4)
    refused = CliRunner().invoke(convert, [str(GOLDEN), str(tmp_path / "saved")])
    assert isinstance(refused.exception, ModelError)
    assert "is not empty" in str(refused.exception)


def test_the_saved_configuration_says_that_a_name_on_the_hub_is_a_piza(
    piza: Piza, opened: OpenedPiza, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--someone--piza"
    save(opened.network, opened.tokenizer, kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("someone/piza", f"someone/piza@{commit}"):
        found = open_localiser(name)
        assert isinstance(found, Piza)
        assert found.locate([request(photo(0))]) == piza.locate([request(photo(0))])


def test_a_folder_whose_weights_are_a_pickle_with_code_is_refused(
    opened: OpenedPiza, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(opened.network, opened.tokenizer, tmp_path / "evil")
    (tmp_path / "evil" / "model.safetensors").unlink()
    torch.save({"weight": Touch()}, tmp_path / "evil" / "pytorch_model.bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="the weights of"):
        open_localiser(str(tmp_path / "evil"))
    assert not (tmp_path / "ran").exists()


class Touch:
    def __reduce__(self) -> Any:
        return (Path("ran").touch, ())


def write_base(opened: OpenedPiza, folder: Path) -> str:
    """The detector without PIZA's parts and with other norms, as the hub has it."""
    config = type(opened.network.config)(**{k: v for k, v in opened.network.config.to_dict().items() if k != "piza"})
    base = MMGroundingDinoForObjectDetection(config)
    base.load_state_dict(opened.network.state_dict(), strict=False)
    with torch.no_grad():
        base.model.encoder.layers[0].deformable_layer.final_layer_norm.weight.mul_(3)
    base.save_pretrained(folder)
    opened.tokenizer.save_pretrained(folder)
    return str(without_shares(folder))


def is_piza_weight(name: str) -> bool:
    """What a released checkpoint of adapters holds: PIZA's parts and the norms of the base."""
    return any(part in name for part in ("adapter", "zoom_embedding", "bbox2eos", "norm", "LayerNorm"))


def test_the_released_adapters_replace_norms_of_their_base(
    piza: Piza, opened: OpenedPiza, weights: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    base = write_base(opened, tmp_path / "base")
    own = {name: weight for name, weight in weights.items() if is_piza_weight(name) and "neck" not in name}
    # A checkpoint of a training on several GPUs holds more, and puts a prefix before names.
    more = {"language_model.language_backbone.body.model.embeddings.position_ids": torch.arange(9)[None]}
    several = {f"module.{name}": weight for name, weight in (own | more).items()}
    torch.save({"state_dict": several, "ema_state_dict": {}, "meta": {"epoch": 5}}, tmp_path / "piza_adapter.pth")
    settings = opened.network.settings
    over_base = open_released(str(tmp_path / "piza_adapter.pth"), base)
    over_base.network.settings = settings
    localiser = Piza(PizaDetector(over_base.network.eval(), over_base.tokenizer, "tiny"))
    assert localiser.locate([request(photo(0))]) == piza.locate([request(photo(0))])
    demo = open_released(str(tmp_path / "piza_adapter.pth"), base, "demo").network
    assert demo.zoom_embedding is None
    assert not demo.settings.uses_zoom


class Evil:
    def __reduce__(self) -> Any:
        return (Path("/nonexistent").touch, ())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda own: {name: weight for name, weight in own.items() if "adapter" not in name}, "so it is no PIZA"),
        (lambda own: {name: weight for name, weight in own.items() if "1.adapter1.scaling" not in name}, "lacks the"),
        (lambda own: own | {"prompt_learner.ctx": torch.zeros(3)}, "has a weight 'prompt_learner.ctx'"),
        (lambda own: own | {"encoder.layers.7.norms.0.bias": torch.zeros(64)}, "no place for"),
        (lambda own: own | {"memory_trans_norm.bias": torch.zeros(256)}, "do not fit"),
        (lambda _own: {"state_dict": [1, 2]}, "holds no weights"),
        (lambda _own: {1: torch.zeros(1)}, "holds no weights by name"),
        (
            lambda own: {"state_dict": own, "message_hub": Evil()},
            "holds more than weights, and anything else could run",
        ),
    ],
)
def test_other_weights_are_refused(
    opened: OpenedPiza, weights: dict[str, torch.Tensor], spoil: Any, says: str, tmp_path: Path
) -> None:
    base = write_base(opened, tmp_path / "base")
    own = {name: weight for name, weight in weights.items() if is_piza_weight(name) and "neck" not in name}
    torch.save(spoil(own), tmp_path / "other.pth")
    with pytest.raises(ModelError, match=says):
        open_released(str(tmp_path / "other.pth"), base)


def test_adapters_without_a_zoom_embedding_are_of_the_demo(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    for file in GOLDEN.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").unlink()
    torch.save({name: weight for name, weight in weights.items() if "emb_proj" not in name}, tmp_path / "piza.pth")
    assert open_released(str(tmp_path)).network.settings.variant == "demo"
    with pytest.raises(ModelError, match="choose the variant demo"):
        open_released(str(tmp_path), variant="evaluation")


def test_a_folder_without_piza_is_refused(opened: OpenedPiza, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="without the key 'piza'"):
        open_piza(write_base(opened, tmp_path))


def test_a_tokenizer_with_other_delimiters_is_refused(tmp_path: Path) -> None:
    for file in GOLDEN.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    said = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = said["model"]["vocab"]
    vocabulary["."], vocabulary["the"] = vocabulary["the"], vocabulary["."]
    (tmp_path / "tokenizer.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match=r"for '\.', and the network reads 1012"):
        open_released(str(tmp_path))


def test_settings_of_another_form_are_refused() -> None:
    settings = PizaSettings("demo", 4, 4).as_json()
    spoilt: tuple[dict[str, Any], ...] = ({"variant": "other"}, {"depth": 3}, {"mean": [1, 2]}, {"steps": "5"})
    spoilt += ({"steps": 0}, {"longer": 9.5}, {"bottleneck": True}, {"stop_at": "x"}, {"stop_at": -1})
    spoilt += ({"zoom_step": 0}, {"zoom_step": float("inf")})
    for spoil in spoilt:
        with pytest.raises(ValueError, match=f"{next(iter(spoil))}|unpack"):
            PizaSettings.of(settings | spoil)
    with pytest.raises(ValueError, match="mean is"):
        PizaSettings("demo", 4, 4, mean=("1", 2, 3))  # type: ignore[arg-type]
    assert PizaSettings.of(json.loads(json.dumps(settings))) == PizaSettings("demo", 4, 4)


@pytest.mark.parametrize("spoil", [{"d_model": "64"}, {"steps": "5"}, {"stop_at": "x"}])
def test_a_saved_piza_with_a_setting_of_another_form_is_refused(
    spoil: dict[str, Any], opened: OpenedPiza, tmp_path: Path
) -> None:
    save(opened.network, opened.tokenizer, tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    (said if "d_model" in spoil else said["piza"]).update(spoil)
    (tmp_path / "config.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_localiser(str(tmp_path))


@pytest.mark.parametrize("spoil", [{"resize_scale": [1, 2, 3]}, {"max_zoom_steps": "5"}, {"hidden": "64"}])
def test_a_released_folder_with_a_setting_of_another_form_is_refused(spoil: dict[str, Any], tmp_path: Path) -> None:
    for file in GOLDEN.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(said | spoil))
    with pytest.raises(ModelError, match="has another form than the released PIZA"):
        open_localiser(str(tmp_path))


def test_weights_that_give_no_numbers_are_named(opened: OpenedPiza, piza: Piza) -> None:
    bias = opened.network.bbox_embed[-1].layers[-1].bias
    before = bias.detach().clone()
    try:
        bias.data.fill_(float("nan"))
        with pytest.raises(ModelError, match="a box that is not a number"):
            piza.locate([request(photo(0))])
    finally:
        bias.data.copy_(before)
