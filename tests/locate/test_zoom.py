"""The localiser `zoom`, with a tiny CLIP and a tiny SigLIP of random weights."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import exp
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sorce.errors import ModelError
from sorce.locate import open_localiser
from sorce.locate.rgb import in_rgb
from sorce.locate.zoom import MAX_CROPS, Zoom, dual_encoder, weighted
from sorce.mappings import Box, Localiser, LocateRequest, Picture, Vector
from sorce.models import load_encoder, load_model
from sorce.models.clusters import Clusters
from sorce.models.encoder import Encoder
from sorce.models.image_processor import View
from sorce.models.objects.owl import OwlTextEncoder
from tests.kit import tiny

NEAR = 1e-3


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return dual_encoder(load_encoder(str(tiny.clip(tmp_path_factory.mktemp("clip"))), "cpu"))


@pytest.fixture(scope="module")
def zoom(clip: Encoder) -> Localiser:
    return open_localiser("zoom", lambda: clip)


def noise(width: int, height: int, seed: int = 0) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Picture(Image.fromarray(pixels))


def test_many_photos_and_one_at_a_time_agree(zoom: Localiser) -> None:
    asked = [
        LocateRequest(noise(90, 60, 1), "a red ball", Box(10, 10, 40, 40)),
        LocateRequest(noise(64, 64, 2), "a kite", Box(0, 0, 64, 64)),
        LocateRequest(noise(50, 80, 3), "a kite"),
    ]
    together = zoom.locate(asked)
    for request, located in zip(asked, together, strict=True):
        [alone] = zoom.locate([request])
        assert alone.score == pytest.approx(located.score, abs=NEAR)
        # In bfloat16 the vectors depend a little on the size of a batch.
        assert alone.box.iou(located.box) > 0.98
        assert len(alone.steps) == len(located.steps)


def test_the_first_instance_is_the_answer_and_the_others_do_not_overlap_it(zoom: Localiser) -> None:
    [located] = zoom.locate([LocateRequest(noise(300, 200), "a kite")], boxes=4)
    assert 1 < len(located.instances) <= 4
    assert (located.box, located.score) == (located.instances[0].box, located.instances[0].score)
    scores = [each.score for each in located.instances]
    assert scores == sorted(scores, reverse=True)
    for place, each in enumerate(located.instances):
        assert all(each.box.iou(better.box) < 0.5 for better in located.instances[:place])


def test_a_least_score_leaves_the_first_instance(zoom: Localiser) -> None:
    [located] = zoom.locate([LocateRequest(noise(300, 200), "a kite")], boxes=4, min_score=1.0)
    assert len(located.instances) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (10_000, 100)])
def test_a_photo_of_any_shape_gives_a_box_inside_it(zoom: Localiser, size: tuple[int, int]) -> None:
    width, height = size
    for box in (None, Box(0, 0, *size), Box(width - 0.5, height - 0.5, width, height), Box(-9, -9, 9999, 9999)):
        [located] = zoom.locate([LocateRequest(noise(*size), "a kite", box)])
        for step in (*located.steps, located.box):
            assert min(step.x1, step.y1) >= 0
            assert step.x2 <= width
            assert step.y2 <= height
        assert 0 <= located.score <= 1


def test_no_request_gives_no_answer(zoom: Localiser) -> None:
    assert zoom.locate([]) == []


def best_cosines(encoder: Encoder, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """The mean of the three best cosines of all crops that zoom looks at, and its score."""
    seen: list[Vector] = []

    def embed(views: Sequence[View]) -> Vector:
        seen.append(Encoder.embed_views(encoder, views))
        return seen[-1]

    monkeypatch.setattr(encoder, "embed_views", embed)
    [located] = Zoom(encoder).locate([LocateRequest(picture, "a kite", Box(0, 0, *picture.size))])
    cosines = np.concatenate(seen) @ encoder.embed_texts(["a kite"])[0]
    assert len(cosines) == MAX_CROPS
    return float(np.sort(cosines)[-3:].mean()), located.score


def test_a_siglip_scores_by_its_own_sigmoid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = dual_encoder(load_encoder(str(tiny.siglip(tmp_path)), "cpu"))
    network = encoder.model[0].auto_model
    scale, bias = network.logit_scale.exp().item(), network.logit_bias.item()
    cosine, score = best_cosines(encoder, noise(32, 32), monkeypatch)
    assert score == pytest.approx(1 / (1 + exp(-(scale * cosine + bias))), abs=1e-5)


def test_a_clip_scores_by_its_cosine(clip: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    cosine, score = best_cosines(clip, noise(32, 32), monkeypatch)
    assert score == pytest.approx((cosine + 1) / 2, abs=1e-5)


def test_the_box_is_where_the_crops_are_alike() -> None:
    boxes = [Box(x, y, x + 20, y + 20) for y in (0, 10, 20) for x in (0, 10, 20)]
    there = [1.0 if (box.x1, box.y1) == (20, 10) else 0.0 for box in boxes]
    assert Box(*weighted(boxes, there)).iou(Box(21, 11, 39, 29)) > 0.7
    # Without a difference it is the middle of all.
    assert weighted(boxes, [0.5] * 9) == pytest.approx((11, 11, 29, 29))


def test_the_model_of_an_index_holds_its_encoder() -> None:
    model = load_model("mini", "tiles", device="cpu")
    assert isinstance(dual_encoder(model), Encoder)


def test_a_model_without_crops_of_its_own_is_refused() -> None:
    words = OwlTextEncoder.__new__(OwlTextEncoder)
    with pytest.raises(ModelError, match="zoom needs a dual encoder"):
        dual_encoder(words)


def test_zoom_without_a_model_is_refused() -> None:
    with pytest.raises(ModelError, match="name a model"):
        open_localiser("zoom")


def test_a_model_of_clusters_zooms_with_its_own_encoder(clip: Encoder) -> None:
    assert dual_encoder(Clusters(clip)) is clip


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA"])
def test_a_picture_in_other_colours_is_read_as_rgb(zoom: Localiser, mode: str) -> None:
    image = noise(90, 60).image.convert(mode)
    for box in (None, Box(10, 10, 40, 40)):
        [found], [right] = (
            zoom.locate([LocateRequest(Picture(each), "a kite", box)]) for each in (image, image.convert("RGB"))
        )
        assert found == right


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_is_never_turned_again(mode: str) -> None:
    """The caller's boxes are in pixels of the picture that it gave."""
    image = Image.new(mode, (40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    image.save(file, "JPEG", exif=exif)
    seen = in_rgb(LocateRequest(Picture(Image.open(file)), "a kite")).picture
    assert (seen.size, seen.image.mode) == ((40, 20), "RGB")


def test_what_is_transparent_is_white(zoom: Localiser) -> None:
    clear = Image.new("RGBA", (90, 60), (200, 0, 0, 0))
    white = Image.new("RGB", (90, 60), "white")
    assert zoom.locate([LocateRequest(Picture(clear), "a kite")]) == zoom.locate(
        [LocateRequest(Picture(white), "a kite")]
    )
