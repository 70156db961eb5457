"""Each family by its published rules: equal to a script of its own processor and class in float32, and to no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from tokenizers import normalizers
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    CLIPModel,
)
from transformers import __version__ as transformers_version

from sorce.errors import ModelError
from sorce.mappings import Box, Picture
from sorce.models import encoder, families, image_processor, load_encoder, load_model, loading
from sorce.models.checkpoint import find
from sorce.models.dense import open_dense
from sorce.models.families import FAMILIES, EncoderFamily
from sorce.models.text_tower import TextTower
from tests.kit import families as kit
from tests.kit import tiny

TEXTS = ["A small Red umbrella", "two dogs", "the third cup from the left " * 9, "ΟΔΟΣ, Größe"]
SHAPES = ((28, 28), (400, 30), (33, 170), (640, 480))
SQUARES = ((28, 28), (9, 9), (100, 100), (640, 640))
"""CLIP's processors cut the middle square out of other photos, which sorce never does."""


def own(folder):
    return AutoProcessor.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32).eval()


def towers(model: Any, inputs: Any) -> torch.Tensor:
    embed = model.get_image_features if "pixel_values" in inputs else model.get_text_features
    return embed(**inputs).pooler_output


def lowered(tokenizer, texts, broken):
    """In lower case; a tokenizer that does that itself lowers a few letters in another way."""
    if broken == "case":
        tokenizer.backend_tokenizer.normalizer = normalizers.Replace(" ", "▁")
    itself = "Lowercase" in repr(tokenizer.backend_tokenizer.normalizer)
    return [text if broken == "case" or itself else text.lower() for text in texts]


def siglip_texts(folder, texts, broken):
    processor, model = own(folder)
    given = lowered(processor.tokenizer, texts, broken)
    padding = True if broken == "padding" else "max_length"
    # One by one, or the longest would pad the others.
    options = {"padding": padding, "max_length": 64, "truncation": True, "return_tensors": "pt"}
    inputs = [processor.tokenizer(text, return_attention_mask=True, **options) for text in given]
    return torch.cat([towers(model, each if broken == "mask" else {"input_ids": each["input_ids"]}) for each in inputs])


def tips_texts(folder, texts, broken):
    processor, model = own(folder)
    if broken == "case":
        processor.tokenizer.backend_tokenizer.normalizer = None
    inputs = processor(text=list(texts), return_tensors="pt")
    if broken == "mask":
        del inputs["attention_mask"]
    if broken == "cut":
        inputs = {name: value[:, :32] for name, value in inputs.items()}
    return towers(model, inputs)


def clip_texts(folder, texts, broken):
    processor, model = own(folder)
    given = [text.swapcase() if broken == "case" else text for text in texts]
    if broken == "case":
        processor.tokenizer.backend_tokenizer.normalizer = None
    # A text that is too long is cut before the token that ends it.
    limit = None if broken == "cut" else 24
    inputs = processor(text=given, padding=True, truncation=limit is not None, max_length=limit, return_tensors="pt")
    return towers(model, {name: value[:, :24] for name, value in inputs.items()})


def fgclip_texts(folder, texts, broken):
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    given = lowered(tokenizer, texts, broken)
    padding, most = True if broken == "padding" else "max_length", 32 if broken == "cut" else 64
    options = {"padding": padding, "max_length": most, "truncation": True, "return_tensors": "pt"}
    # One by one, or the longest would pad the others.
    inputs = [tokenizer(text, return_attention_mask=True, **options) for text in given]
    masks = [each["attention_mask"] if broken == "mask" else None for each in inputs]
    return torch.cat(
        [model.get_text_features(each["input_ids"], mask) for each, mask in zip(inputs, masks, strict=True)]
    )


def fgclip_pictures(folder, pictures):
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype=torch.float32).eval()
    images = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
    return model.get_image_features(**images(pictures, max_num_patches=16, return_tensors="pt"))


def gemma_texts(folder, texts, broken):
    processor, model = own(folder)
    texts = [text.lower() for text in texts] if broken == "case" else texts
    prompt = {"prompt": "", "task": "title: none | text: "}.get(broken, kit.QUERY)
    inputs = processor(text=[prompt + text for text in texts], return_tensors="pt")
    return mean(model(**inputs), torch.ones_like(inputs["input_ids"]) if broken == "mask" else inputs["attention_mask"])


def mean(out, mask):
    kept = mask[:, :, None].float()
    return (out.last_hidden_state * kept).sum(1) / kept.sum(1)


def qwen_texts(folder, texts, broken):
    processor, model = own(folder)
    vectors = []
    for text in texts:
        said = text.lower() if broken == "case" else text
        turns = [{"role": "user", "content": [{"type": "text", "text": said}]}]
        said = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=broken != "turn")
        if broken == "instruction":
            said = said.replace(kit.INSTRUCTION, "")
        state = model(**processor(text=[said], return_tensors="pt")).last_hidden_state[0]
        vectors.append(state.mean(0) if broken == "pooling" else state[-1])
    return torch.stack(vectors)


def tower_pictures(folder, pictures):
    processor, model = own(folder)
    return towers(model, processor.image_processor(pictures, return_tensors="pt"))


def naflex_pictures(folder, pictures):
    processor, model = own(folder)
    return towers(model, processor.image_processor(pictures, max_num_patches=16, return_tensors="pt"))


def gemma_pictures(folder, pictures):
    processor, model = own(folder)
    inputs = [processor(images=[picture], return_tensors="pt") for picture in pictures]
    return torch.cat([mean(model(**each), each["attention_mask"]) for each in inputs])


def qwen_pictures(folder, pictures):
    processor, model = own(folder)
    turns = [{"role": "user", "content": [{"type": "image"}]}]
    said = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    inputs = [processor(text=[said], images=[picture], return_tensors="pt") for picture in pictures]
    return torch.stack([model(**each).last_hidden_state[0, -1] for each in inputs])


@dataclass(frozen=True)
class Script:
    """How a family's own classes encode, and which rule can be broken. `shapes` are those of pictures."""

    make: Callable[..., Any]
    texts: Callable[..., torch.Tensor]
    rules: Sequence[str]
    pictures: Callable[..., torch.Tensor] = tower_pictures
    shapes: Sequence[tuple[int, int]] = SHAPES


SCRIPTS = {
    "tipsv2": Script(kit.tipsv2, tips_texts, ("case", "mask", "cut")),
    "metaclip_2": Script(kit.metaclip2, clip_texts, ("case", "cut"), shapes=SQUARES),
    "clip of OpenCLIP": Script(kit.openclip, clip_texts, ("case", "cut"), shapes=SQUARES),
    "siglip": Script(tiny.siglip, siglip_texts, ("case", "padding", "mask")),
    "siglip2": Script(tiny.siglip2, siglip_texts, ("case", "padding", "mask"), naflex_pictures),
    "embedding_gemma2": Script(kit.embedding_gemma2, gemma_texts, ("case", "prompt", "task", "mask"), gemma_pictures),
    "qwen3_vl": Script(kit.qwen3_embedding, qwen_texts, ("case", "instruction", "turn", "pooling"), qwen_pictures),
    "fgclip2": Script(kit.fgclip2, fgclip_texts, ("case", "padding", "mask", "cut"), fgclip_pictures),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: script.make(tmp_path_factory.mktemp("families") / "model") for name, script in SCRIPTS.items()}


@pytest.fixture(scope="module")
def models(folders):
    """Of each family, in float32 on every CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SORCE_BFLOAT16", "off")
        # Only FG-CLIP 2 has code of its own.
        run = {"device": "cpu", "trust_remote_code": True}
        return {name: load_model(str(folder), "whole", **run) for name, folder in folders.items()}


@torch.inference_mode()
def unit(script, *given):
    return torch.nn.functional.normalize(script(*given), dim=-1).numpy()


def photos(shapes):
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (high, wide, 3), np.uint8)) for wide, high in shapes]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_texts_vector_is_that_of_the_familys_own_classes(name, folders, models):
    ours = models[name].embed_texts(TEXTS)
    np.testing.assert_allclose(ours, unit(SCRIPTS[name].texts, folders[name], TEXTS, None), atol=1e-5)


@pytest.mark.parametrize(("name", "rule"), [(name, rule) for name, script in SCRIPTS.items() for rule in script.rules])
def test_a_rule_that_is_broken_gives_another_vector(name, rule, folders, models):
    ours = models[name].embed_texts(TEXTS)
    assert np.abs(ours - unit(SCRIPTS[name].texts, folders[name], TEXTS, rule)).max() > 1e-3


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_photo_files_vector_is_that_of_the_familys_own_classes(name, folders, models, tmp_path):
    script = SCRIPTS[name]
    for number, photo in enumerate(photos(script.shapes)):
        photo.save(tmp_path / f"{number}.png")
    opened = [Image.open(tmp_path / f"{number}.png").convert("RGB") for number in range(len(script.shapes))]
    regions = models[name].embed_photos([Picture(image) for image in opened])
    ours = np.stack([each[0].vec for each in regions])
    np.testing.assert_allclose(ours, unit(script.pictures, folders[name], opened), atol=1e-5)


def written(folder, name, **settings):
    """Changes settings in a JSON file of a checkpoint."""
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def copied(folders, name, place):
    return Path(shutil.copytree(folders[name], place / "copy"))


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("tokenizer_config.json", {"model_max_length": 40}),
        ("sentence_bert_config.json", {"max_seq_length": 40}),
        ("sentence_bert_config.json", {"query_length": 40}),
        ("sentence_bert_config.json", {"processing_kwargs": {"text": {"max_length": 40}}}),
    ],
)
def test_a_text_is_cut_where_the_checkpoint_says(file, settings, folders, tmp_path):
    folder = copied(folders, "embedding_gemma2", tmp_path)
    written(folder, file, **settings)
    whole = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    expected = whole.encode_query([{"text": text} for text in TEXTS], normalize_embeddings=True)
    np.testing.assert_allclose(load_encoder(str(folder), "cpu").embed_texts(TEXTS), expected, atol=1e-5)


def test_a_clips_text_does_not_depend_on_its_neighbours_wherever_the_tokenizer_pads(folders, tmp_path):
    folder = copied(folders, "metaclip_2", tmp_path)
    expected = load_encoder(str(folder), "cpu").embed_texts(TEXTS)
    written(folder, "tokenizer_config.json", padding_side="left")
    np.testing.assert_allclose(load_encoder(str(folder), "cpu").embed_texts(TEXTS), expected, atol=1e-5)


def test_weights_in_bfloat16_and_in_several_files_are_computed_in_float32(folders, tmp_path):
    folder = copied(folders, "siglip", tmp_path)
    (folder / "model.safetensors").unlink()
    AutoModel.from_pretrained(folders["siglip"], dtype=torch.bfloat16).save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    ours = load_encoder(str(folder), "cpu").embed_texts(TEXTS)
    np.testing.assert_allclose(ours, unit(siglip_texts, folder, TEXTS, None), atol=1e-5)


def test_a_network_may_have_room_for_more_words_than_its_tokenizer_knows(tmp_path):
    processor = AutoProcessor.from_pretrained(tiny.clip(tmp_path / "small"))
    config = AutoConfig.from_pretrained(tmp_path / "small")
    config.text_config.vocab_size = 4000
    folder = tiny.save(tmp_path / "large", CLIPModel, config, processor)
    ours = load_encoder(str(folder), "cpu", texts_first=True).embed_texts(TEXTS)
    np.testing.assert_allclose(ours, unit(clip_texts, folder, TEXTS, None), atol=1e-5)


@pytest.mark.parametrize("trusted", [False, True])
def test_tipsv2_is_opened_by_transformers_though_the_hubs_checkpoints_bring_older_code(
    trusted, folders, tmp_path, monkeypatch
):
    monkeypatch.setenv("SORCE_BFLOAT16", "off")
    folder = copied(folders, "tipsv2", tmp_path)
    own = {"AutoConfig": "own.TIPSv2Config", "AutoModel": "own.TIPSv2Model"}
    written(folder, "config.json", auto_map=own, architectures=["TIPSv2Model"])
    (folder / "own.py").write_text("raise AssertionError('it runs')")
    found = load_encoder(str(folder), "cpu", trust_remote_code=trusted, texts_first=True)
    assert isinstance(found, TextTower)
    np.testing.assert_allclose(found.embed_texts(TEXTS), unit(tips_texts, folder, TEXTS, None), atol=1e-5)
    model = load_model(str(folder), "whole", device="cpu", trust_remote_code=trusted)
    [photo, *_] = photos(SHAPES)
    np.testing.assert_allclose(model.embed_images([photo]), unit(tower_pictures, folder, [photo]), atol=1e-5)


def test_an_index_of_an_older_sorce_goes_on_with_pillow(folders, models, monkeypatch):
    monkeypatch.setenv("SORCE_BFLOAT16", "off")
    photo = photos(SHAPES)[3]
    assert models["siglip"].recipe.backend == "torchvision-bilinear"
    older = load_model(str(folders["siglip"]), "whole", device="cpu", backend="pillow-bilinear")
    assert older.recipe.backend == "pillow-bilinear"
    resized = photo.resize((32, 32), Image.Resampling.BILINEAR, reducing_gap=3.0)
    np.testing.assert_allclose(
        older.embed_images([photo]), unit(tower_pictures, folders["siglip"], [resized]), atol=1e-5
    )
    searching = load_encoder(older.recipe, "cpu", str(folders["siglip"]))
    np.testing.assert_array_equal(searching.embed_images([photo]), older.embed_images([photo]))


def test_a_photo_of_very_many_pixels_is_shrunk_before(models, monkeypatch):
    monkeypatch.setattr(image_processor, "MOST_PIXELS", 1000)
    monkeypatch.setattr(image_processor, "MOST_PIXELS_OF_VIEW", 120 * 100)
    down, across = np.mgrid[0:480, 0:640]
    smooth = Image.fromarray(np.stack([across // 3, down // 2, 255 - across // 3], -1).astype(np.uint8))
    shrunk = models["siglip"].embed_images([smooth])
    sizes = [
        models["siglip2"].encoder.view(each, Box(0, 0, *each.size)).shape for each in (smooth, *photos(SHAPES[1:2]))
    ]
    # The second is long, and has few pixels.
    assert sizes == [(95, 126, 3), (30, 400, 3)]
    monkeypatch.undo()
    assert (shrunk * models["siglip"].embed_images([smooth])).sum() > 0.995


@pytest.mark.parametrize("name", ["embedding_gemma2", "qwen3_vl"])
def test_a_text_cannot_bring_in_a_picture_or_end_its_turn(name, models):
    texts = ["<|image|> a cup", "<|image_pad|><|im_end|>", "<|video|>"]
    assert np.isfinite(models[name].embed_texts(texts)).all()


def test_a_prompt_is_part_of_the_recipe(folders, models):
    assert models["embedding_gemma2"].recipe.prompts == {"query": kit.QUERY}
    assert models["tipsv2"].recipe.prompts == {}
    searching = load_encoder(models["embedding_gemma2"].recipe, "cpu", str(folders["embedding_gemma2"]))
    np.testing.assert_array_equal(searching.embed_texts(TEXTS), models["embedding_gemma2"].embed_texts(TEXTS))


def test_tipsv2_patches_are_taken_as_they_are(folders, photo):
    _, model = own(folders["tipsv2"])
    pixels = torch.rand((2, 3, 28, 42), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        tokens = model.vision_model(pixels).last_hidden_state[:, 2:].reshape(2, 2, 3, 32)
    np.testing.assert_allclose(open_dense(model, "tiny")(pixels), torch.nn.functional.normalize(tokens, dim=-1))
    [regions] = load_model(str(folders["tipsv2"]), "clusters", {"clusters": 4}, "cpu").embed_photos([Picture(photo)])
    assert [region.kind for region in regions] == ["whole", *["cluster"] * 4]


def test_a_cut_vector_is_the_first_numbers_at_length_1_and_part_of_the_recipe(folders, models):
    folder, whole = str(folders["embedding_gemma2"]), models["embedding_gemma2"]
    cut = load_model(folder, "tiles", device="cpu", dimension=128)
    first = whole.embed_texts(TEXTS)[:, :128]
    expected = first / np.linalg.norm(first, axis=1, keepdims=True)
    np.testing.assert_allclose(cut.embed_texts(TEXTS), expected, atol=1e-5)
    assert cut.recipe.dimension == 128
    searching = load_encoder(cut.recipe, "cpu", folder)
    np.testing.assert_allclose(searching.embed_texts(TEXTS), expected, atol=1e-5)


def test_a_cut_that_the_model_was_not_trained_for_is_refused(folders):
    with pytest.raises(ModelError, match="256 numbers and was not trained to have them cut to 100; choose one of 128"):
        load_model(str(folders["embedding_gemma2"]), "whole", device="cpu", dimension=100)
    with pytest.raises(ModelError, match=r"16 numbers and was not trained .* leave the dimension out"):
        load_model(str(folders["metaclip_2"]), "whole", device="cpu", dimension=8)
    with pytest.raises(ModelError, match=r"'clusters' has vectors that are not cut; .* whole or tiles"):
        load_model("mini", "clusters", dimension=64)


@pytest.mark.parametrize(
    "said", ["`tiktoken` is required to read", "SiglipTokenizer requires the SentencePiece library"]
)
def test_a_tokenizer_of_sentencepiece_names_the_package_that_it_needs(said, folders, monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    assert "pip install 'sorce[siglip1]'" in loading.why(ImportError(said), find(str(folders["tipsv2"])))


def named(folder, kind):
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"model_type": kind}))
    return str(folder)


def test_a_family_of_a_newer_transformers_is_told_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(
        families, "FAMILIES", {**FAMILIES, "clip_of_tomorrow": EncoderFamily("CLIP of tomorrow", "99.1")}
    )
    with pytest.raises(ModelError) as caught:
        load_model(named(kit.openclip(tmp_path / "new"), "clip_of_tomorrow"), device="cpu")
    assert str(caught.value).endswith(
        "is of the family CLIP of tomorrow, which transformers has from version 99.1 on, and "
        f"{transformers_version} is installed: pip install 'transformers>=99.1'."
    )


def test_every_family_that_transformers_has_is_one_of_its_types():
    import transformers

    missing = [
        kind for kind, each in FAMILIES.items() if not each.auto_class and kind not in transformers.CONFIG_MAPPING
    ]
    assert missing == []


@pytest.mark.parametrize("name", ["embedding_gemma2", "qwen3_vl"])
def test_what_float16_cannot_hold_is_never_computed_in_it(name, folders, monkeypatch):
    checkpoint, gpu = find(str(folders[name])), torch.device("cuda")
    family = families.family_of(checkpoint)
    assert family.number_format(gpu) == torch.bfloat16
    assert family.number_format(gpu, half=False) == torch.float32
    assert family.number_format(torch.device("cpu")) == torch.float32
    given = []
    monkeypatch.setattr(encoder, "open_model", lambda *opened: given.append(opened))
    encoder.open_network(checkpoint, family, gpu, half=True)
    assert given == [(checkpoint, gpu, torch.bfloat16)]
