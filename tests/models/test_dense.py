from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPModel, Siglip2Model, SiglipModel

from sorce.errors import ModelError
from sorce.models import dense
from sorce.models.dense import CLIP_FEATURES, open_dense, windowed

GOLDEN = Path(__file__).parents[1] / "golden/dense-clip-tiny"


@pytest.fixture(scope="module")
def golden():
    return {**np.load(GOLDEN / "inputs.npz"), **np.load(GOLDEN / "expected.npz")}


@pytest.fixture(scope="module")
def clip():
    return CLIPModel.from_pretrained(GOLDEN)


@pytest.fixture(scope="module")
def siglip(checkpoints):
    return SiglipModel.from_pretrained(checkpoints["siglip"])


def in_windows(network, pixels):
    """Of a picture (3, height, width) that is already what the network takes."""
    return windowed(lambda views: network(torch.stack(views).permute(0, 3, 1, 2)), pixels.permute(1, 2, 0), network)


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("features", CLIP_FEATURES)
@pytest.mark.parametrize(
    ("expected", "pixels", "positions"),
    [
        ("native", "native", "size"),
        ("native", "native", "scale"),
        ("other_size", "other", "size"),
        ("other_scale", "other", "scale"),
    ],
)
def test_features_are_those_of_the_released_code(golden, clip, features, expected, pixels, positions):
    vectors = open_dense(clip, "tiny", features, positions)(torch.from_numpy(golden[f"pixel_values_{pixels}"]))
    wanted = golden[f"{expected}/{features}"]
    assert vectors.flatten(1, 2).shape == wanted.shape
    assert np.abs(vectors.flatten(1, 2).numpy() - wanted).max() < 1e-5


def test_rows_come_before_columns(golden, clip):
    assert open_dense(clip, "tiny")(torch.from_numpy(golden["pixel_values_other"])).shape == (2, 4, 7, 48)


def test_auto_is_naclip_for_a_clip_and_the_value_path_for_a_siglip(clip, siglip):
    assert open_dense(clip, "tiny").features == "naclip"
    assert open_dense(siglip, "tiny").features == "value"


def test_a_network_is_found_inside_of_a_wrapper(clip):
    assert open_dense(torch.nn.Sequential(clip), "tiny").side == 6


def test_a_class_of_own_code_has_the_features_of_the_family_that_it_extends(clip):
    class Own(CLIPModel):
        pass

    assert open_dense(Own(clip.config), "tiny").features == "naclip"


def test_a_picture_of_the_networks_own_size_is_one_window(golden, clip):
    network, pixels = open_dense(clip, "tiny"), torch.from_numpy(golden["pixel_values_native"])
    assert torch.allclose(in_windows(network, pixels[0]), network(pixels[:1])[0], atol=1e-6)


def test_a_picture_smaller_than_a_window_is_seen_as_it_is(golden, clip):
    network, pixels = open_dense(clip, "tiny"), torch.from_numpy(golden["pixel_values_other"])[:, :, :, :80]
    assert torch.allclose(in_windows(network, pixels[0]), network(pixels[:1])[0], atol=1e-6)


def test_a_patch_is_the_mean_over_the_windows_that_hold_it(clip):
    network, pixels = open_dense(clip, "tiny"), noise(3, 96, 96 + 48)
    left, right = network(torch.stack([pixels[:, :, :96], pixels[:, :, 48:]]))
    both = in_windows(network, pixels)
    assert torch.allclose(both[:, :3], left[:, :3], atol=1e-6)
    assert torch.allclose(both[:, 6:], right[:, 3:], atol=1e-6)
    mean = (left[:, 3:] + right[:, :3]) / 2
    assert torch.allclose(both[:, 3:6], mean / mean.norm(dim=-1, keepdim=True), atol=1e-6)


def test_how_many_windows_are_seen_at_once_changes_nothing(clip, monkeypatch):
    network, pixels = open_dense(clip, "tiny"), noise(3, 16 * 13, 16 * 8)
    together = in_windows(network, pixels)
    monkeypatch.setattr(dense, "WINDOWS_AT_ONCE", 1)
    assert torch.allclose(together, in_windows(network, pixels), atol=1e-6)


@pytest.mark.parametrize("window", [1, 2, 3, 6, 7, 14])
def test_windows_reach_from_edge_to_edge_and_overlap_by_half(window):
    for length in range(window, 60):
        starts = list(dense._starts(length, window))
        assert starts[0] == 0
        assert starts[-1] == length - window
        assert all(0 < after - before <= max(1, window // 2) for before, after in pairwise(starts))


def test_a_siglip_of_a_single_patch_gives_its_pooled_vector(siglip):
    pixels = noise(2, 3, 8, 8)
    with torch.inference_mode():
        pooled = siglip.get_image_features(pixels, interpolate_pos_encoding=True).pooler_output
    alone = open_dense(siglip, "tiny")(pixels)[:, 0, 0]
    assert torch.allclose(alone, pooled / pooled.norm(dim=1, keepdim=True), atol=1e-5)


def test_a_siglips_patch_is_what_its_head_makes_of_that_patch_alone(siglip):
    pixels = noise(1, 3, 40, 24)
    vectors = open_dense(siglip, "tiny")(pixels)
    assert vectors.shape == (1, 5, 3, 32)
    with torch.inference_mode():
        tokens = siglip.vision_model(pixels, interpolate_pos_encoding=True).last_hidden_state
        alone = siglip.vision_model.head(tokens[0, :, None])
    assert torch.allclose(vectors.flatten(0, 2), alone / alone.norm(dim=1, keepdim=True), atol=1e-5)


def test_half_precision_stays_close(golden, clip):
    pixels = torch.from_numpy(golden["pixel_values_native"])
    half = open_dense(CLIPModel.from_pretrained(GOLDEN, dtype=torch.float16), "tiny")(pixels.half())
    assert half.dtype == torch.float32
    assert (half - open_dense(clip, "tiny")(pixels)).abs().max() < 0.02


@pytest.mark.parametrize(
    ("network", "features", "positions", "message"),
    [
        ("siglip", "naclip", "size", "SigLIP and has no features=naclip with .* choose features of auto, value, and"),
        ("siglip", "auto", "scale", "is a SigLIP and has no features=auto with positions=scale"),
        ("clip", "value", "size", "is a CLIP and has no features=value"),
        ("clip", "dino", "size", "choose features of auto, naclip, .*, and positions of size, scale"),
        ("clip", "naclip", "bilinear", "positions=bilinear"),
    ],
)
def test_features_that_a_family_lacks_are_refused(request, network, features, positions, message):
    with pytest.raises(ModelError, match=message):
        open_dense(request.getfixturevalue(network), "tiny", features, positions)


def test_another_family_is_refused(checkpoints):
    network = Siglip2Model.from_pretrained(checkpoints["siglip2"])
    with pytest.raises(ModelError, match=r"'tiny' has no patch features, .* or the regions method tiles\.$"):
        open_dense(network, "tiny")
