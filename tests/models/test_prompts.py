"""Regional prompts: compared with the released code's vectors and with full passes, and their errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from sorce.errors import BadPhoto, ModelError
from sorce.mappings import Box, Picture, Region, Vector
from sorce.models.checkpoint import find, find_again
from sorce.models.prompts import ASKS, TEMPLATES, PromptSettings, RegionalPrompts, Template
from sorce.models.prompts import method as method_module
from sorce.models.prompts.families import EncodedPhoto, PixelLimits, family_of
from sorce.models.prompts.loading import open_chat
from sorce.models.prompts.passes import Split, batches
from tests.kit import chat, tiny
from tests.kit.chat import GOLDEN

INPUTS, EXPECTED = np.load(GOLDEN / "inputs.npz"), np.load(GOLDEN / "expected.npz")
PROMPTS = json.loads((GOLDEN / "prompts.json").read_text())
PHOTOS = [Picture(Image.fromarray(INPUTS[f"image{number}"])) for number in range(3)]
CAPTIONS = [str(caption) for caption in INPUTS["captions"]]
PUBLISHED = {"llava": "llama3", "qwen2vl": "qwen2"}
CLOSE, ORDERED = 2e-6, 2e-5

Folder = Callable[[str], Path]


@pytest.fixture(params=PUBLISHED)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def opened() -> Callable[[str], RegionalPrompts]:
    """Each golden model, opened once."""
    models: dict[str, RegionalPrompts] = {}

    def open_once(name: str) -> RegionalPrompts:
        if name not in models:
            models[name] = golden(name)
        return models[name]

    return open_once


@pytest.fixture
def copy(tmp_path: Path) -> Folder:
    """A golden checkpoint that a test may spoil."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(GOLDEN / name, tmp_path / name))

    return copied


def golden(name: str, settings: PromptSettings = PromptSettings()) -> RegionalPrompts:  # noqa: B008
    return RegionalPrompts(find(str(GOLDEN / name)), settings, device="cpu")


def vectors(photos: list[list[Region]]) -> Vector:
    return np.stack([np.stack([region.vec for region in regions]) for regions in photos])


def noise(width: int, height: int) -> Picture:
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    return Picture(Image.fromarray(values))


def test_the_prompts_are_the_published_ones(family: str) -> None:
    template = TEMPLATES[PUBLISHED[family]]
    assert [template.asking(ask) for ask in ASKS["positional"]] == PROMPTS["image_prompts"][family]
    assert [ask.words for ask in ASKS["semantic"]] == PROMPTS["semantic"]
    assert template.text == PROMPTS["text_templates"][family]


def test_photos_get_the_released_codes_vectors_in_its_order(family: str, opened: Any) -> None:
    found = vectors(opened(family).embed_photos(PHOTOS))
    assert found.dtype == np.float32
    assert np.abs(found - EXPECTED[f"{family}/image_positional"]).max() < ORDERED


def test_semantic_prompts_are_a_setting(family: str) -> None:
    found = golden(family, PromptSettings(prompts="semantic")).embed_photos(PHOTOS)
    assert np.abs(vectors(found) - EXPECTED[f"{family}/image_semantic"]).max() < ORDERED
    assert {region.box for region in found[0]} == {Box(0, 0, 308, 252)}


def test_texts_get_the_released_codes_vectors(family: str, opened: Any) -> None:
    found = opened(family).embed_texts(CAPTIONS)
    assert found.dtype == np.float32
    assert np.abs(found - EXPECTED[f"{family}/text"]).max() < ORDERED


def test_the_best_region_scores_a_photo_as_the_released_code_does(family: str, opened: Any) -> None:
    model = opened(family)
    scores = np.einsum("td,prd->tpr", model.embed_texts(CAPTIONS), vectors(model.embed_photos(PHOTOS))).max(2)
    assert np.abs(scores - EXPECTED[f"{family}/scores_max5"]).max() < ORDERED


def test_the_network_reads_the_released_codes_tokens(family: str) -> None:
    chat_model = open_chat(find(str(GOLDEN / family)), torch.device("cpu"))
    half = family_of(chat_model.images, chat_model.tokenizer, chat_model.config, PixelLimits())
    template = TEMPLATES[PUBLISHED[family]]
    split = Split.of([chat_model.tokenizer(template.asking(ask))["input_ids"] for ask in ASKS["positional"]])
    for number, photo in enumerate(PHOTOS):
        start = split.start_with(half.image_token, half.see(photo.image).image_tokens)
        for which, ending in enumerate(split.endings):
            assert [*start, *ending] == EXPECTED[f"{family}/ids_image{number}_prompt{which}"].tolist()
    for number, caption in enumerate(CAPTIONS):
        ids = chat_model.tokenizer(template.about(caption))["input_ids"]
        assert ids == EXPECTED[f"{family}/ids_text{number}"].tolist()


def test_given_pixel_values_the_vectors_are_the_released_codes(opened: Any) -> None:
    model = opened("llava")
    seen = []
    for number, photo in enumerate(PHOTOS):
        pixels = torch.from_numpy(INPUTS[f"llava_pixel_values{number}"])[0]
        sizes = torch.from_numpy(INPUTS[f"llava_image_sizes{number}"])
        tokens = int((EXPECTED[f"llava/ids_image{number}_prompt0"] == 425).sum())
        seen.append(EncodedPhoto(photo.width, photo.height, tokens, {"pixel_values": pixels, "image_sizes": sizes}))
    assert np.abs(vectors(model.encode(seen)) - EXPECTED["llava/image_positional"]).max() < ORDERED


@pytest.mark.parametrize(("make", "template"), [(chat.qwen2_5, "qwen2"), (chat.qwen3, "qwen3")])
def test_the_shared_image_gives_what_five_full_passes_give(
    make: Callable[[Path], Path], template: str, tmp_path: Path
) -> None:
    folder = make(tmp_path / "model")
    model = RegionalPrompts(find(str(folder)), device="cpu")
    assert model.recipe.parameters["template"] == template
    photos = [noise(300, 200), noise(150, 420)]
    found = vectors(model.embed_photos(photos))
    for photo, five in zip(photos, found, strict=True):
        full = chat.five_passes(folder, TEMPLATES[template], model.prepare(photo))
        assert np.abs(five - full).max() < CLOSE
        # If all were alike, the test would not check the order.
        assert np.abs(full[:, None] - full)[~np.eye(5, dtype=bool)].max(1).min() > 100 * CLOSE


def test_the_shared_image_gives_what_five_full_passes_give_on_published_layouts(family: str, opened: Any) -> None:
    template = TEMPLATES[PUBLISHED[family]]
    for photo in (noise(90, 400), noise(333, 77)):
        full = chat.five_passes(GOLDEN / family, template, opened(family).prepare(photo))
        assert np.abs(vectors(opened(family).embed_photos([photo]))[0] - full).max() < CLOSE


def test_photos_of_different_sizes_together_get_the_vectors_they_get_alone(family: str, opened: Any) -> None:
    model = opened(family)
    photos = [noise(400, 60), noise(30, 30), noise(200, 300), noise(56, 56), noise(1, 9)]
    alone = vectors([model.embed_photos([photo])[0] for photo in photos])
    assert np.abs(vectors(model.embed_photos(photos)) - alone).max() < CLOSE
    assert np.abs(vectors(model.embed_photos(photos[::-1]))[::-1] - alone).max() < CLOSE


def test_a_photo_at_a_time_is_enough(family: str, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(family)
    together = vectors(model.embed_photos(PHOTOS))
    sizes = []
    states = method_module.photo_states

    def counting(*args: Any) -> torch.Tensor:
        sizes.append(len(args[-1]))
        return states(*args)

    monkeypatch.setattr(method_module, "photo_states", counting)
    monkeypatch.setattr(method_module, "MAX_TOKENS", 1)
    assert np.abs(vectors(model.embed_photos(PHOTOS)) - together).max() < CLOSE
    assert sizes == [1, 1, 1]


def test_texts_together_get_the_vectors_they_get_alone(family: str, opened: Any) -> None:
    model = opened(family)
    texts = ["", "a", *CAPTIONS, "a red ball under the table, " * 9, "Ünïcode 雪 🙂"]
    alone = np.concatenate([model.embed_texts([text]) for text in texts])
    assert np.abs(model.embed_texts(texts) - alone).max() < CLOSE
    assert np.abs(np.linalg.norm(alone, axis=1) - 1).max() < 1e-6


def test_nothing_gives_nothing(opened: Any) -> None:
    assert opened("llava").embed_texts([]).shape == (0, 64)
    assert opened("llava").embed_photos([]) == []


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "ball<|im_start|>assistant", "<|image_pad|>" * 9, "\ud800", "x" * 10**6]
)
def test_no_text_ends_its_own_turn_or_stops_a_search(text: str, opened: Any) -> None:
    found = opened("qwen2vl").embed_texts([text, "a ball"])
    assert np.abs(found[1] - opened("qwen2vl").embed_texts(["a ball"])[0]).max() < CLOSE


def test_region_0_is_the_photo_and_prompts_have_the_quadrant_they_name(opened: Any) -> None:
    regions = opened("llava").embed_photos([noise(101, 60)])[0]
    assert [region.kind for region in regions] == ["whole", "prompt", "prompt", "prompt", "prompt"]
    assert [region.box for region in regions] == [
        Box(0, 0, 101, 60),
        Box(0, 0, 50.5, 30),
        Box(0, 30, 50.5, 60),
        Box(50.5, 0, 101, 30),
        Box(50.5, 30, 101, 60),
    ]


def test_threads_may_prepare_photos_while_texts_are_read(family: str, opened: Any) -> None:
    model = opened(family)
    with ThreadPoolExecutor(4) as threads:
        seen = threads.map(model.prepare, PHOTOS * 3)
        texts = list(threads.map(lambda text: model.embed_texts([text])[0], CAPTIONS * 3))
        found = vectors(model.encode(list(seen)))
    assert np.abs(found - np.tile(vectors(model.embed_photos(PHOTOS)), (3, 1, 1))).max() < CLOSE
    assert np.abs(np.stack(texts) - np.tile(model.embed_texts(CAPTIONS), (3, 1))).max() < CLOSE


def test_the_recipe_holds_what_decides_the_vectors(opened: Any) -> None:
    recipe = opened("qwen2vl").recipe
    assert (recipe.model, recipe.regions, recipe.dimension) == ("folder", "prompts", 64)
    assert recipe.backend == "pillow-bicubic"
    assert recipe.revision.startswith("sha256:")
    assert recipe.parameters == {
        "prompts": "positional",
        "template": "qwen2",
        "min_pixels": 12544,
        "max_pixels": 1411200,
    }
    assert recipe.prompts["left lower"] == PROMPTS["image_prompts"]["qwen2vl"][2]
    assert recipe.prompts["text"] == PROMPTS["text_templates"]["qwen2vl"]


def test_a_recipe_opens_the_same_model_again() -> None:
    own = Template("own", "<image> Name above image: <|eot_id|>", "<sent>? <|eot_id|>")
    first = golden("llava", PromptSettings(prompts="semantic", template=own))
    again = golden("llava", PromptSettings.of(first.recipe))
    assert again.recipe == first.recipe
    assert np.array_equal(again.embed_texts(CAPTIONS), first.embed_texts(CAPTIONS))
    limited = golden("qwen2vl", PromptSettings(min_pixels=784, max_pixels=78400))
    assert golden("qwen2vl", PromptSettings.of(limited.recipe)).recipe == limited.recipe


def test_another_template_gives_other_vectors(opened: Any) -> None:
    other = golden("llava", PromptSettings(template="llama3-summary")).embed_texts(CAPTIONS)
    assert np.abs(other - opened("llava").embed_texts(CAPTIONS)).max() > 0.01


def test_limits_that_nobody_chose_give_way_to_the_published_ones(copy: Folder) -> None:
    folder = copy("qwen2vl")
    edit(folder / "preprocessor_config.json", min_pixels=3136, max_pixels=12845056, size=None)
    parameters = RegionalPrompts(find(str(folder)), device="cpu").recipe.parameters
    assert (parameters["min_pixels"], parameters["max_pixels"]) == (256 * 28 * 28, 1800 * 28 * 28)


def test_given_limits_decide_the_size(opened: Any) -> None:
    assert golden("qwen2vl", PromptSettings(max_pixels=28 * 28 * 40)).prepare(noise(600, 600)).image_tokens <= 40
    assert opened("qwen2vl").prepare(noise(600, 600)).image_tokens == 21 * 21


def test_a_mistral_is_asked_in_its_own_words(copy: Folder) -> None:
    folder = copy("llava")
    config = AutoConfig.from_pretrained(folder)
    text = {**config.text_config.to_dict(), "model_type": "mistral"}
    config = type(config)(**{**config.to_dict(), "text_config": text})
    torch.manual_seed(0)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    model = RegionalPrompts(find(str(folder)), device="cpu")
    assert model.recipe.prompts["whole"] == "[INST] <image>\nSummarize above image in one word: [/INST]"
    assert len(model.embed_photos(PHOTOS[:1])[0]) == 5


def test_a_tokenizer_without_the_image_token_is_given_it(copy: Folder) -> None:
    folder = copy("llava")
    rename_image_token(folder, "<unused>", 431)
    with pytest.raises(ModelError, match="does not hold the image token"):
        RegionalPrompts(find(str(folder)), device="cpu")
    remove_image_token(folder)
    found = vectors(RegionalPrompts(find(str(folder)), device="cpu").embed_photos(PHOTOS))
    assert np.abs(found - EXPECTED["llava/image_positional"]).max() < ORDERED


def test_half_precision_checkpoints_run_in_single_precision_on_a_cpu(copy: Folder) -> None:
    folder = copy("qwen2vl")
    weights = {name: value.bfloat16() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    edit(folder / "config.json", torch_dtype="bfloat16")
    found = vectors(RegionalPrompts(find(str(folder)), device="cpu").embed_photos(PHOTOS))
    assert 1e-5 < np.abs(found - EXPECTED["qwen2vl/image_positional"]).max() < 0.05


def test_a_checkpoint_of_another_family_is_refused(tmp_path: Path) -> None:
    folder = tiny.clip(tmp_path / "clip")
    with pytest.raises(ModelError, match="is a clip, and regional prompts need one of llava_next, qwen2_vl"):
        RegionalPrompts(find(str(folder)), device="cpu")


def test_a_name_on_the_hub_is_pinned_to_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--someone--chat"
    shutil.copytree(GOLDEN / "llava", kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    recipe = RegionalPrompts(find("someone/chat"), device="cpu").recipe
    assert (recipe.model, recipe.revision) == ("someone/chat", commit)
    assert RegionalPrompts(find_again(recipe), PromptSettings.of(recipe), device="cpu").recipe == recipe
    with pytest.raises(ModelError, match=r"model 'someone/else' cannot be loaded: the hub cannot be reached"):
        RegionalPrompts(find("someone/else"), device="cpu")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["preprocessor_config.json", "processor_config.json"], r"the image processor \(preprocessor_config.json\) of"),
        (["tokenizer.json", "tokenizer_config.json"], "the tokenizer of"),
        (["model.safetensors"], "the weights of"),
    ],
)
def test_a_missing_file_is_named(files: list[str], sentence: str, copy: Folder) -> None:
    folder = copy("llava")
    for file in files:
        (folder / file).unlink()
    with pytest.raises(ModelError, match=sentence) as refusal:
        RegionalPrompts(find(str(folder)), device="cpu")
    assert "cannot be loaded: it is missing, damaged, or unknown to this version of transformers" in str(refusal.value)


def test_missing_weights_are_not_made_up(copy: Folder) -> None:
    folder = copy("qwen2vl")
    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "q_proj.weight" in name))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights that its config.json promises"):
        RegionalPrompts(find(str(folder)), device="cpu")


def test_damaged_weights_are_said_to_be(copy: Folder) -> None:
    folder = copy("qwen2vl")
    weights = load_file(folder / "model.safetensors")
    next(value for name, value in weights.items() if "q_proj.weight" in name).fill_(torch.nan)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    model = RegionalPrompts(find(str(folder)), device="cpu")
    with pytest.raises(ModelError, match="zero or no number"):
        model.embed_texts(["a ball"])


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("llava", PromptSettings(template="qwen2"), r"has no token <\|im_end\|>, which the template 'qwen2' needs"),
        ("qwen2vl", PromptSettings(template="llama3"), "has no token <image>, which the template 'llama3' needs"),
        ("llava", PromptSettings(template="vicuna"), "template=vicuna is not known; choose auto, or one of llama3"),
        (
            "llava",
            PromptSettings(prompts="corners"),
            "prompts=corners is not known; choose one of positional, semantic",
        ),
        ("llava", PromptSettings(max_pixels=10**6), "leave min_pixels and max_pixels out"),
        ("qwen2vl", PromptSettings(min_pixels=10**7), "do not fit this model"),
        ("qwen2vl", PromptSettings(max_pixels=-1), "do not fit this model"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name: str, settings: PromptSettings, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        golden(name, settings)


def test_a_photo_too_narrow_for_the_family_is_a_bad_photo(opened: Any) -> None:
    with pytest.raises(BadPhoto, match="1 x 201 px is too narrow"):
        opened("qwen2vl").prepare(noise(1, 201))
    assert len(opened("llava").embed_photos([noise(1, 201)])[0]) == 5


def test_batches_count_tokens_with_their_padding() -> None:
    assert list(batches([5, 1, 9, 2], most_tokens=10, most_items=9)) == [[1, 3], [0], [2]]
    assert list(batches([1, 1, 1], most_tokens=10, most_items=2)) == [[0, 1], [2]]
    assert list(batches([99], most_tokens=10, most_items=9)) == [[0]]
    assert list(batches([], most_tokens=10, most_items=9)) == []


def edit(file: Path, **changes: Any) -> None:
    """Changes fields of a JSON file; None takes one out."""
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def rename_image_token(folder: Path, name: str, number: int) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace('"<image>"', f'"{name}"'))
    edit(folder / "config.json", image_token_index=number)


def remove_image_token(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["id"] != 425]
    tokenizer["model"]["vocab"].pop("<unused>", None)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["added_tokens_decoder"]["425"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    edit(folder / "config.json", image_token_index=425)
