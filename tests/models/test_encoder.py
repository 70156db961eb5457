from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoProcessor

from sorce.errors import ModelError
from sorce.mappings import Box
from sorce.models import encoder as encoder_module
from sorce.models.bfloat16 import computes_bfloat16
from sorce.models.checkpoint import find
from sorce.models.encoder import Encoder
from tests.kit.close import assert_close

TEXTS = ["a small red umbrella", "A Cup of TEA, on the left!", "x", "two dogs"]


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def from_transformers(folder, **inputs):
    """Unit vectors by transformers alone: what the family's authors publish as its use."""
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        embed = model.get_image_features if "pixel_values" in inputs else model.get_text_features
        return unit(embed(**inputs).pooler_output.numpy())


def whole(photo):
    return Box(0, 0, *photo.size)


def test_texts_are_those_of_transformers(encoder, family, checkpoints):
    processor = AutoProcessor.from_pretrained(checkpoints[family])
    if family == "clip":
        inputs = processor(text=TEXTS, padding=True, return_tensors="pt")
    else:
        lower = [text.lower() for text in TEXTS]
        tokens = processor.tokenizer(lower, padding="max_length", max_length=64, truncation=True, return_tensors="pt")
        inputs = {"input_ids": tokens["input_ids"]}
    np.testing.assert_allclose(encoder.embed_texts(TEXTS), from_transformers(checkpoints[family], **inputs), atol=1e-5)


def test_pictures_are_those_of_transformers_without_a_crop(encoder, family, checkpoints, photo):
    processor = AutoProcessor.from_pretrained(checkpoints[family])
    pictures = [photo, photo.crop((0, 0, 33, 170)), photo.crop((5, 5, 6, 6))]
    squash = {"do_center_crop": False, "size": {"height": 32, "width": 32}} if family == "clip" else {}
    inputs = processor.image_processor(pictures, return_tensors="pt", **squash)
    ours = encoder.embed_views([encoder.view(picture, whole(picture)) for picture in pictures])
    np.testing.assert_allclose(ours, from_transformers(checkpoints[family], **inputs), atol=1e-5)


def test_a_box_is_seen_up_to_its_edges(encoder, photo):
    changed = photo.copy()
    changed.paste((0, 255, 0), (0, 0, 20, 200))
    before, after = encoder.embed_views([encoder.view(picture, whole(photo)) for picture in (photo, changed)])
    assert before @ after < 0.99


def test_a_view_of_a_box_is_a_view_of_its_crop(encoder, photo):
    box = Box(100, 40, 220, 160)
    ours, cut = encoder.view(photo, box), encoder.view(photo.crop(box.as_tuple()), Box(0, 0, 120, 120))
    # Resampling a box uses pixels beyond its edges; resampling a crop cannot.
    np.testing.assert_allclose(ours[2:-2, 2:-2].astype(int), cut[2:-2, 2:-2], atol=2)


def test_vectors_are_unit_float32_and_read_from_the_whole_batch(encoder, photo):
    views = [encoder.view(photo, Box(left, 0, left + 40, 40)) for left in range(100)]
    vectors = encoder.embed_views(views)
    assert vectors.dtype == np.float32
    assert vectors.shape == (100, encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    one_by_one = np.concatenate([encoder.embed_views([view]) for view in views])
    np.testing.assert_allclose(vectors, one_by_one, atol=1e-5)


def test_batches_side_by_side_leave_torchs_threads_as_they_were(encoders, photo):
    encoder, threads = encoders["clip"], torch.get_num_threads()
    views = [encoder.view(photo, Box(left, 0, left + 40, 40)) for left in range(40)]
    torch.set_num_threads(2)
    try:
        side_by_side = encoder.embed_views(views)
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        np.testing.assert_allclose(side_by_side, encoder.embed_views(views), atol=1e-6)
    finally:
        torch.set_num_threads(threads)


def test_nothing_in_is_nothing_out(encoder):
    assert encoder.embed_texts([]).shape == (0, encoder.dimension)
    assert encoder.embed_views([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize("text", ["", " ", "\x00\x07\n", "\ud800", "🧦 чашка", "word " * 5000])
def test_any_text_has_a_vector(encoder, text):
    assert np.linalg.norm(encoder.embed_texts([text])) == pytest.approx(1, abs=1e-5)


def test_a_text_that_is_a_path_or_an_address_is_read_as_text(encoder, photo, tmp_path):
    photo.save(tmp_path / "photo.png")
    texts = [str(tmp_path / "photo.png"), "https://example.org/photo.jpg", "data:image/png;base64,AAAA"]
    together = encoder.embed_texts(["a cup", *texts])
    pictured = encoder.embed_views([encoder.view(photo, whole(photo))])[0]
    assert np.abs(together @ pictured).max() < 0.999
    assert together.shape == (4, encoder.dimension)


def test_siglip_reads_lower_case(encoders):
    for family in ("siglip", "siglip2"):
        upper, lower = encoders[family].embed_texts(["A RED Cup", "a red cup"])
        np.testing.assert_array_equal(upper, lower)


def test_a_texts_vector_does_not_depend_on_its_neighbours(encoder):
    alone = encoder.embed_texts(["a cup"])[0]
    np.testing.assert_allclose(encoder.embed_texts(["a cup", "a much longer text than the cup's"])[0], alone, atol=1e-5)


def test_many_threads_may_ask_for_texts(encoder):
    expected = encoder.embed_texts(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(encoder.embed_texts, [TEXTS] * 20):
            np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_the_recipe_says_all_that_decides_vectors(encoders):
    recipe = encoders["siglip"].recipe("tiles", {"max_regions": 9})
    assert (recipe.model, recipe.regions, recipe.dimension) == ("folder", "tiles", 32)
    assert recipe.revision.startswith("sha256:")
    assert recipe.parameters == {"max_regions": 9}
    backends = {family: encoder.recipe("whole", {}).backend for family, encoder in encoders.items()}
    assert backends == {"clip": "torchvision-bicubic", "siglip": "torchvision-bilinear", "siglip2": "torchvision"}


def test_the_input_size_is_the_networks(encoders):
    assert {family: encoder.input_size for family, encoder in encoders.items()} == {
        "clip": 32,
        "siglip": 32,
        "siglip2": 64,
    }


def test_a_vector_that_is_no_number_is_an_error(checkpoints):
    encoder = Encoder(find(str(checkpoints["clip"])), "cpu")
    for broken in (0.0, float("nan")):
        with torch.no_grad():
            encoder.model[0].model.text_projection.weight.fill_(broken)
        with pytest.raises(ModelError, match="zero or no number"):
            encoder.embed_texts(["a cup"])


def test_towers_of_different_spaces_are_refused(checkpoints, monkeypatch):
    monkeypatch.setattr(encoder_module.Encoder, "embed_texts", lambda *_: np.ones((1, 5), np.float32))
    with pytest.raises(ModelError, match="gives texts 5 numbers and pictures 16"):
        Encoder(find(str(checkpoints["clip"])), "cpu")


def test_a_missing_device_is_an_error(checkpoints):
    for device in ("cuda:99", "gpu", "meta"):
        with pytest.raises(ModelError, match=device):
            Encoder(find(str(checkpoints["clip"])), device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_half_precision_on_a_gpu_stays_near(encoder, family, checkpoints, photo):
    on_gpu = Encoder(find(str(checkpoints[family])), "cuda")
    views = [encoder.view(photo, Box(left, 0, left + 40, 40)) for left in range(100)]
    np.testing.assert_allclose(on_gpu.embed_views(views), encoder.embed_views(views), atol=5e-3)
    np.testing.assert_allclose(on_gpu.embed_texts(TEXTS), encoder.embed_texts(TEXTS), atol=5e-3)


@pytest.mark.bfloat16
def test_half_precision_on_a_cpu_stays_near_and_is_for_pictures_only(encoder, family, checkpoints, photo, monkeypatch):
    monkeypatch.setattr(encoder_module, "computes_bfloat16", lambda _: True)
    halved = Encoder(find(str(checkpoints[family])), "cpu")
    views = [encoder.view(photo, Box(left, 0, left + 40, 40)) for left in range(100)]
    exact, near = encoder.embed_views(views), halved.embed_views(views)
    assert near.dtype == np.float32
    assert (exact != near).any()
    assert (exact * near).sum(1).min() > 0.999
    np.testing.assert_array_equal(halved.embed_texts(TEXTS), encoder.embed_texts(TEXTS))


def test_half_precision_is_the_network_with_its_weights_in_bfloat16(family, checkpoints, photo, monkeypatch):
    monkeypatch.setattr(encoder_module, "computes_bfloat16", lambda _: True)
    halved = Encoder(find(str(checkpoints[family])), "cpu")
    views = [halved.view(photo, Box(left, 0, left + 40, 40)) for left in range(20)]
    network = AutoModel.from_pretrained(checkpoints[family], dtype=torch.bfloat16).eval()
    pixels = {name: value for name, value in halved.image_processor.features(views).items() if name != "modality"}
    with torch.inference_mode():
        expected = unit(network.get_image_features(**pixels).pooler_output.float().numpy())
    np.testing.assert_allclose(halved.embed_views(views), expected, atol=1e-6)


@pytest.mark.bfloat16
@pytest.mark.fault("11.2.1")
def test_a_vector_depends_on_its_batch_within_the_bound_of_the_number_format(checkpoints, family, photo):
    encoder = Encoder(find(str(checkpoints[family])), "cpu")
    views = [encoder.view(photo, Box(left, 0, left + 40, 40)) for left in range(100)]
    assert_close(encoder.embed_views(views), np.concatenate([encoder.embed_views([view]) for view in views]))


@pytest.mark.fault("11.2.1")
@pytest.mark.parametrize(
    ("environment", "able", "wanted"),
    [
        ({}, {"amx_bf16": True}, True),
        ({}, {"avx512_bf16": False}, False),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"amx_bf16": True}, False),
        ({"ONEDNN_MAX_CPU_ISA": "avx512_core_vnni"}, {"amx_bf16": True}, False),
        ({"DNNL_MAX_CPU_ISA": "AVX2"}, {"amx_bf16": True}, False),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, {"amx_bf16": True}, True),
        ({"ONEDNN_MAX_CPU_ISA": "DEFAULT"}, {"amx_bf16": True}, True),
        ({"SORCE_BFLOAT16": "on", "ONEDNN_MAX_CPU_ISA": "AVX2"}, {}, True),
        ({"SORCE_BFLOAT16": "off"}, {"amx_bf16": True}, False),
        ({"SORCE_BFLOAT16": "auto"}, {"amx_bf16": True}, True),
    ],
)
def test_bfloat16_follows_its_switch_then_onednns_limit_then_the_cpu(monkeypatch, environment, able, wanted):
    for name in ("SORCE_BFLOAT16", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert computes_bfloat16(torch.device("cpu")) is wanted
    assert computes_bfloat16(torch.device("meta")) is False


def test_another_word_for_the_switch_is_an_error(monkeypatch):
    monkeypatch.setenv("SORCE_BFLOAT16", "yes")
    with pytest.raises(ModelError, match="SORCE_BFLOAT16='yes' is not understood; set it to on, off or auto"):
        computes_bfloat16(torch.device("cpu"))
