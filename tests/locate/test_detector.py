"""Open-vocabulary detectors as localisers: each family with a tiny checkpoint of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sorce.errors import ModelError
from sorce.locate import open_localiser
from sorce.locate.detector import GREY, DetectorLocaliser, around, extended
from sorce.locate.families import FAMILIES
from sorce.mappings import Box, LocateRequest, Picture
from sorce.models.methods import Runtime
from sorce.models.objects.windows import Window
from tests.kit import detectors, owl, tiny

MAKERS: dict[str, Callable[[Path], Path]] = {
    "grounding-dino": detectors.grounding_dino,
    "mm-grounding-dino": detectors.mm_grounding_dino,
    "omdet-turbo": detectors.omdet_turbo,
    "owlv2": owl.owlv2,
    "sam3": detectors.sam3,
}
LONG = "a red ball beside the tree, " * 50


@pytest.fixture(scope="module", params=list(MAKERS))
def localiser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DetectorLocaliser:
    folder = MAKERS[request.param](tmp_path_factory.mktemp("detector"))
    opened = open_localiser(str(folder), runtime=Runtime("cpu"))
    assert isinstance(opened, DetectorLocaliser)
    return opened


def noise(width: int, height: int, seed: int = 0) -> Picture:
    return Picture(Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)))


def test_a_checkpoint_of_each_family_is_tried() -> None:
    # Tried below: the same network as sam3, in a file that holds another network, too.
    assert set(MAKERS) == set(FAMILIES) - {"sam3_video"}


def test_what_transformers_says_of_the_whole_photo_is_what_is_found(localiser: DetectorLocaliser) -> None:
    picture = noise(60, 40)
    # A region this large leaves one look: at the whole photo.
    [located] = localiser.locate([LocateRequest(picture, "a red ball", Box(0, 0, 60, 40))], boxes=100)
    boxes, scores = by_transformers(localiser, picture, "a red ball")
    expected = [Box(*box) for box in boxes.clamp(min=0).tolist()]
    for each in located.instances:
        best = max(range(len(expected)), key=lambda row: each.box.iou(expected[row]) - abs(each.score - scores[row]))
        assert each.box.iou(expected[best]) > 0.99
        assert each.score == pytest.approx(float(scores[best]), abs=1e-5)


def by_transformers(localiser: DetectorLocaliser, picture: Picture, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes inside the photo, and scores, by the processor's own call and post-processing."""
    processor, network = localiser._processor, localiser.network
    kind = network.config.model_type
    words = text if kind == "sam3" else [[text]]
    with torch.inference_mode():
        inputs = processor(images=[picture.image], text=words, return_tensors="pt")
        outputs = network(**{name: value for name, value in inputs.items() if name != "original_sizes"})
    sizes = [(picture.height, picture.width)]
    if kind == "sam3":
        [said] = processor.post_process_object_detection(outputs, 0.0, sizes)
    elif kind == "omdet-turbo":
        [said] = processor.post_process_grounded_object_detection(
            outputs, threshold=0.0, nms_threshold=1.0, target_sizes=sizes
        )
    else:
        more = {} if kind == "owlv2" else {"input_ids": inputs["input_ids"]}
        [said] = processor.post_process_grounded_object_detection(outputs, threshold=0.0, target_sizes=sizes, **more)
    boxes = said["boxes"].clamp(min=0)
    boxes = torch.minimum(boxes, torch.tensor([picture.width, picture.height] * 2))
    fits = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return boxes[fits], said["scores"][fits]


def test_many_photos_and_one_at_a_time_agree(localiser: DetectorLocaliser) -> None:
    asked = [
        LocateRequest(noise(90, 60, 1), "a red ball", Box(10, 10, 20, 20)),
        LocateRequest(noise(64, 80, 2), "a kite"),
    ]
    together = localiser.locate(asked, boxes=3)
    assert together == [localiser.locate([request], boxes=3)[0] for request in asked]


@pytest.mark.parametrize("size", [(1, 1), (200, 3), (10_000, 100), (1, 3000)])
def test_a_photo_of_any_shape_gives_a_box_inside_it(localiser: DetectorLocaliser, size: tuple[int, int]) -> None:
    width, height = size
    photo = noise(*size)
    for text, box in ((LONG, None), ("a kite", Box(width - 0.5, 0, width, 1))):
        [located] = localiser.locate([LocateRequest(photo, text, box)], boxes=5)
        for each in (*located.steps, *(instance.box for instance in located.instances)):
            assert min(each.x1, each.y1) >= 0
            assert each.x2 <= width
            assert each.y2 <= height
        assert 0 <= located.score <= 1
        assert (located.box, located.score) == (located.instances[0].box, located.instances[0].score)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA"])
def test_a_picture_in_other_colours_is_read_as_rgb(localiser: DetectorLocaliser, mode: str) -> None:
    image = noise(90, 60).image.convert(mode)
    found, right = (
        localiser.locate([LocateRequest(Picture(each), "a kite")]) for each in (image, image.convert("RGB"))
    )
    assert found == right


def test_a_least_score_leaves_the_first_instance(localiser: DetectorLocaliser) -> None:
    [located] = localiser.locate([LocateRequest(noise(90, 60), "a kite")], boxes=5, min_score=2.0)
    assert len(located.instances) == 1


def test_it_looks_at_the_whole_photo_and_at_the_region_with_context(localiser: DetectorLocaliser) -> None:
    [located] = localiser.locate([LocateRequest(noise(400, 300), "a kite", Box(100, 100, 140, 150))])
    assert located.steps == (Box(0, 0, 400, 300), Box(50, 50, 190, 200), located.box)


def test_a_thing_that_is_not_there_has_a_score_near_0_with_sam_3(tmp_path: Path) -> None:
    localiser = open_localiser(str(detectors.sam3(tmp_path)), runtime=Runtime("cpu"))
    assert isinstance(localiser, DetectorLocaliser)
    request = LocateRequest(noise(60, 60), "a kite")
    head = localiser.network.detr_decoder.presence_head
    with torch.no_grad():
        for weights in head.parameters():
            weights.zero_()
        list(head.parameters())[-1].fill_(-9.0)
    [located] = localiser.locate([request])
    assert located.score < 2e-4


def test_sam_3_is_found_in_the_published_checkpoint_with_its_tracker(tmp_path: Path) -> None:
    folder, request = detectors.sam3(tmp_path), LocateRequest(noise(60, 60), "a kite")
    alone = open_localiser(str(folder), runtime=Runtime("cpu")).locate([request])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "sam3_video", "detector_config": config}))
    weights = {f"detector_model.{name}": each for name, each in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert open_localiser(str(folder), runtime=Runtime("cpu")).locate([request]) == alone


@pytest.mark.parametrize("start", ["", "model.decoder."])
@pytest.mark.parametrize("layers", [1, 2])
def test_each_decoder_layer_has_the_heads_that_the_published_checkpoint_holds(
    tmp_path: Path, start: str, layers: int
) -> None:
    folder = detectors.mm_grounding_dino(tmp_path)
    weights = load_file(folder / "model.safetensors")
    heads = {name: weights.pop(name) for name in list(weights) if name.startswith(("bbox_embed.", "class_embed."))}
    # Published files hold them once, by either name. With one layer's heads, all layers share them.
    held = {name: head for name, head in heads.items() if int(name.split(".")[1]) < layers}
    save_file({**weights, **{f"{start}{name}": head for name, head in held.items()}}, folder / "model.safetensors")
    opened = open_localiser(str(folder), runtime=Runtime("cpu"))
    assert isinstance(opened, DetectorLocaliser)
    found = opened.network.state_dict()
    for name in heads:
        head = heads[name if layers == 2 else name.replace("_embed.1.", "_embed.0.")]
        assert torch.equal(found[name], head)
        assert torch.equal(found[f"model.decoder.{name}"], head)


def test_a_region_smaller_than_a_crop_gets_a_crop_of_the_least_size() -> None:
    assert around(Box(100, 100, 110, 104), 400, 300) == Window(73, 73, 137, 131)
    assert around(Box(0, 0, 10, 10), 400, 300) == Window(0, 0, 37, 37)


def test_an_elongated_view_is_extended_to_the_right_or_below() -> None:
    assert extended(Image.new("RGB", (800, 100))).size == (800, 100)
    assert extended(Image.new("RGB", (10_000, 100))).size == (10_000, 1250)
    wide = extended(Image.new("RGB", (1, 3000), "red"))
    assert wide.size == (375, 3000)
    assert (wide.getpixel((0, 2999)), wide.getpixel((1, 0))) == ((255, 0, 0), GREY)


def test_a_model_that_reads_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="finds no things by a text"):
        open_localiser(str(owl.detr(tmp_path / "detr")))
    with pytest.raises(ModelError, match="is a clip, which finds no things by a text"):
        open_localiser(str(tiny.clip(tmp_path / "clip")))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ModelError, match="there is no folder 'nothing'"):
        open_localiser("nothing")
