import json
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForObjectDetection, Owlv2ForObjectDetection, Owlv2Processor
from transformers.models.owlv2.modeling_owlv2 import Owlv2ObjectDetectionOutput

from sorce.errors import BadPhoto, ModelError
from sorce.mappings import Picture
from sorce.models.checkpoint import find
from sorce.models.objects.owl import Owl, placed, see
from sorce.models.objects.proposals import Found, cut_off, picked, taken
from sorce.models.objects.proposers import open_proposer
from sorce.models.objects.settings import ProposalLimits
from sorce.models.objects.windows import MAX_TILES, Look, Window, windows
from tests.kit import owl, tiny

CPU = torch.device("cpu")
ALL = ProposalLimits(10_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return owl.owlv2(tmp_path_factory.mktemp("owl"))


@pytest.fixture(scope="module")
def detector(folder):
    return Owl(find(str(folder)), CPU)


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    makers = {"detr": owl.detr, "rt_detr": owl.rt_detr}
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in makers.items()}


def photo(width, height, name=""):
    return Picture(Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)), name)


def look(width, height, *places):
    return Look(width, height, [Window(0, 0, width, height), *places], [])


def found(boxes, quality, numbers=None):
    places = torch.tensor(numbers or [0] * len(boxes))
    return Found(torch.tensor(boxes, dtype=torch.float32), torch.tensor(quality), places, torch.zeros(len(boxes), 0))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (40, 30), (48, 48), (1, 48), (48, 3)])
def test_a_photo_little_larger_than_the_input_is_seen_at_once(width, height):
    assert windows(width, height, 32) == [Window(0, 0, width, height)]


@pytest.mark.parametrize(
    ("width", "height"), [(49, 49), (49, 1), (1, 5000), (4000, 3000), (3000, 4000), (16000, 11000), (5000, 400)]
)
@pytest.mark.parametrize("side", [32, 960])
def test_tiles_are_alike_cover_the_photo_and_overlap_by_a_fifth(width, height, side):
    whole, *tiles = windows(width, height, side)
    assert whole == Window(0, 0, width, height)
    if not tiles:
        assert max(width, height) <= 1.5 * side
        return
    [(across, down)] = {(tile.width, tile.height) for tile in tiles}
    assert across == down or (down == height and across > down) or (across == width and down > across)
    assert len(tiles) <= MAX_TILES
    for starts, length, size in (
        (sorted({tile.left for tile in tiles}), width, across),
        (sorted({tile.top for tile in tiles}), height, down),
    ):
        assert starts[0] == 0
        assert starts[-1] + size == length
        assert all(later - earlier <= 0.8 * size + 1 for earlier, later in pairwise(starts))


def test_a_photo_of_12_megapixels_is_seen_at_its_own_scale():
    assert {tile.width for tile in windows(4000, 3000, 960)[1:]} == {960}


@pytest.mark.parametrize(("width", "height"), [(32, 20), (20, 32), (32, 32), (16, 11), (8, 16)])
def test_a_view_is_what_the_processor_would_make_of_the_photo(folder, detector, width, height):
    picture = photo(width, height)
    processor = Owlv2Processor.from_pretrained(folder)
    expected = processor.image_processor(images=[picture.image], return_tensors="pt")["pixel_values"][0]
    view = torch.from_numpy(see(picture.image, Window(0, 0, width, height), 32)).permute(2, 0, 1)
    scale, shift = detector._line
    padded = torch.zeros((3, 32, 32), dtype=torch.uint8)
    padded[:, : view.shape[1], : view.shape[2]] = view
    seen = padded * scale + shift
    enlarged = max(width, height) < 32
    # For enlarged photos, Pillow rounds to bytes, and does not blend the last pixels with the black ones beside them.
    inner = (slice(None), slice(0, view.shape[1] - 2 * enlarged), slice(0, view.shape[2] - 2 * enlarged))
    assert seen[inner] == pytest.approx(expected[inner], abs=0.02 if enlarged else 1e-5)
    assert seen[:, view.shape[1] + 1 :] == pytest.approx(expected[:, view.shape[1] + 1 :], abs=1e-5)


def test_a_large_photo_is_shrunk_much_like_the_processor_does(folder):
    down, across = np.mgrid[0:90, 0:120]
    pixels = np.stack([across * 2, down * 2, 255 - across * 2], -1).astype(np.uint8)
    processor = Owlv2Processor.from_pretrained(folder)
    expected = processor.image_processor(images=[pixels], do_normalize=False, return_tensors="pt")["pixel_values"][0]
    view = see(Image.fromarray(pixels), Window(0, 0, 120, 90), 32)
    assert view.shape == (24, 32, 3)
    difference = np.abs(view[1:-1, 1:-1] / 255 - expected.permute(1, 2, 0).numpy()[1:23, 1:31])
    assert difference.max() < 0.03


@pytest.mark.parametrize(("width", "height"), [(45, 31), (7, 40), (3001, 1999), (1999, 3001), (640, 640)])
def test_boxes_are_those_of_transformers_to_the_bit(folder, width, height):
    shares = torch.rand((1, 50, 4), generator=torch.Generator().manual_seed(0))
    output = Owlv2ObjectDetectionOutput(logits=torch.ones(1, 50, 1), pred_boxes=shares)
    processor = Owlv2Processor.from_pretrained(folder)
    [said] = processor.image_processor.post_process_object_detection(output, 0.0, [(height, width)])
    centre, size = shares[0, :, :2], shares[0, :, 2:]
    corners = torch.cat([centre - 0.5 * size, centre + 0.5 * size], 1)
    ours = placed(corners, [Window(0, 0, width, height)], torch.zeros(50, dtype=torch.int64))
    assert ours.dtype == torch.float32
    assert torch.equal(ours, said["boxes"])


@pytest.mark.parametrize(("width", "height"), [(45, 31), (7, 40), (32, 32)])
def test_boxes_and_objectness_are_those_of_the_published_model(folder, detector, width, height):
    picture = photo(width, height)
    at = detector.look(picture.image)
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    pixels[0, :, : at.views[0].shape[0], : at.views[0].shape[1]] = torch.from_numpy(at.views[0]).permute(2, 0, 1)
    processor, model = Owlv2Processor.from_pretrained(folder), Owlv2ForObjectDetection.from_pretrained(folder)
    scale, shift = detector._line
    tokens = processor(text=[["a cup"]], return_tensors="pt")
    with torch.inference_mode():
        output = model(pixel_values=pixels * scale + shift, **tokens)
    output["logits"] = output["objectness_logits"][..., None]
    [said] = processor.image_processor.post_process_object_detection(output, 0.0, [(height, width)])
    ours = detector.found(at)
    assert ours.boxes == pytest.approx(said["boxes"], abs=1e-4)
    assert ours.quality == pytest.approx(said["scores"], abs=1e-6)
    assert ours.windows.tolist() == [0] * 64


def test_what_a_tile_shows_lies_where_the_tile_does(detector):
    picture = photo(100, 70)
    at = detector.look(picture.image)
    everywhere = detector.found(at)
    assert len(at.windows) > 5
    assert len(everywhere.boxes) == 64 * len(at.windows)
    for number in (1, 3, len(at.windows) - 1):
        window = at.windows[number]
        alone = detector.found(detector.look(window.cut(picture.image)))
        there = everywhere.boxes[everywhere.windows == number]
        offset = torch.tensor([window.left, window.top, window.left, window.top])
        assert there == pytest.approx(alone.boxes + offset, abs=1e-4)
        assert everywhere.quality[everywhere.windows == number] == pytest.approx(alone.quality, abs=1e-6)


def test_an_object_that_two_tiles_show_is_proposed_once_at_its_best():
    at = look(100, 40, Window(0, 0, 60, 40), Window(40, 0, 100, 40))
    seen = found([(45, 10, 55, 20), (45.5, 10, 55, 20.5), (70, 10, 80, 20)], [0.5, 0.75, 0.25], [1, 2, 2])
    kept = taken(seen, at, picked(seen, at, ALL))
    assert kept.boxes.tolist() == [[45.5, 10, 55, 20.5], [70, 10, 80, 20]]
    assert kept.quality.tolist() == [0.75, 0.25]
    assert kept.boxes.dtype == kept.quality.dtype == np.float32


def test_what_a_tile_cuts_through_is_left_to_others():
    at = look(100, 40, Window(0, 0, 60, 40), Window(40, 0, 100, 40))
    boxes = torch.tensor([(50, 10, 59.8, 20), (0, 0, 20, 40), (39.9, 5, 50, 9), (90, 1, 100, 9), (50, 10, 60, 20)])
    assert cut_off(boxes, torch.tensor([1, 1, 2, 2, 0]), at).tolist() == [True, False, True, False, False]


def test_boxes_are_clipped_to_the_photo_and_those_without_a_pixel_dropped():
    seen = found([(-5, -5, 10, 10), (90, 30, 130, 60), (20, 20, 20.5, 30), (200, 5, 210, 15), (8, 8, 3, 3)], [0.5] * 5)
    at = look(100, 40)
    assert taken(seen, at, picked(seen, at, ALL)).boxes.tolist() == [[0, 0, 10, 10], [90, 30, 100, 40]]


def test_the_best_come_first_and_no_more_than_asked_for():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 900, (3000, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 100, (3000, 2))], 1)
    at, seen = look(1000, 1000), found(boxes.tolist(), rng.uniform(size=3000).tolist())
    everything = picked(seen, at, ALL).tolist()
    assert 100 < len(everything) < 3000
    for most in (0, 1, 7, 100):
        assert picked(seen, at, ProposalLimits(most)).tolist() == everything[:most]
    best = taken(seen, at, picked(seen, at, ProposalLimits(100, least=0.9))).quality
    assert (np.diff(best) <= 0).all()
    assert best.min() >= 0.9


def test_of_many_boxes_of_one_object_the_others_still_come():
    many = [(10 + number / 1000, 10, 50, 50) for number in range(500)]
    seen = found([*many, (60, 60, 90, 90)], [0.9] * 500 + [0.1])
    at = look(100, 100)
    assert picked(seen, at, ProposalLimits(2)).tolist() == [0, 500]


def test_the_same_photo_gives_the_same_boxes(folder):
    proposer = open_proposer(str(folder), ProposalLimits(50), "cpu")
    first, second = proposer.propose(photo(90, 70)), proposer.propose(photo(90, 70))
    assert len(first) == 50
    assert np.array_equal(first.boxes, second.boxes)
    assert np.array_equal(first.quality, second.quality)
    assert proposer.name == f"folder@{find(str(folder)).revision}"


@pytest.mark.parametrize("family", ["detr", "rt_detr"])
@pytest.mark.parametrize(("width", "height"), [(60, 44), (50, 64)])
def test_a_closed_sets_boxes_are_those_of_its_own_processor(closed, family, width, height):
    picture = photo(width, height)
    proposer = open_proposer(str(closed[family]), ALL, "cpu")
    images = proposer._detector._images
    model = AutoModelForObjectDetection.from_pretrained(closed[family])
    with torch.inference_mode():
        output = model(**images(images=[picture.image], return_tensors="pt"))
    [said] = images.post_process_object_detection(output, threshold=0.0, target_sizes=[(height, width)])
    at = proposer.prepare(picture)
    ours = proposer._detector.found(at)
    assert ours.boxes == pytest.approx(said["boxes"], abs=1e-3)
    assert ours.quality == pytest.approx(said["scores"], abs=1e-5)
    proposals = proposer.propose(picture)
    assert 0 < len(proposals) <= len(ours.boxes)
    assert ((proposals.quality >= 0) & (proposals.quality <= 1)).all()


@pytest.mark.parametrize("family", ["detr", "rt_detr"])
def test_a_closed_set_sees_a_large_photo_no_larger_than_its_processor_makes_it(closed, family):
    proposer = open_proposer(str(closed[family]), ALL, "cpu")
    at = proposer.prepare(photo(500, 300))
    shape = {"detr": (64, 107, 3), "rt_detr": (64, 64, 3)}[family]
    assert at.views[0].shape == shape
    assert {view.shape for view in at.views[1:]} == {(64, 64, 3)}
    proposals = proposer.proposals(at)
    assert (proposals.boxes >= 0).all()
    assert (proposals.boxes[:, 2:] <= (500, 300)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_photos_of_any_shape_are_looked_at(folder, closed, size):
    for name in (folder, *closed.values()):
        proposals = open_proposer(str(name), ProposalLimits(5), "cpu").propose(Picture(Image.new("RGB", size)))
        assert proposals.boxes.shape == (len(proposals), 4)
        assert (proposals.boxes[:, 2:] <= size).all()


def test_a_model_that_is_no_detector_is_refused(tmp_path):
    tiny.clip(tmp_path)
    with pytest.raises(ModelError, match=r"is a clip, which cannot find objects; choose a detector such as"):
        open_proposer(str(tmp_path), ALL, "cpu")


def test_a_detector_without_its_processor_is_refused(tmp_path):
    for make in (owl.owlv2, owl.detr):
        folder = make(tmp_path / make.__name__)
        for name in ("preprocessor_config.json", "processor_config.json"):
            (folder / name).unlink(missing_ok=True)
        with pytest.raises(ModelError, match=r"the image processor \(preprocessor_config.json\) of model .* cannot be"):
            open_proposer(str(folder), ALL, "cpu")


def test_a_detector_with_damaged_weights_is_refused(tmp_path):
    folder = owl.owlv2(tmp_path)
    model = Owlv2ForObjectDetection.from_pretrained(folder)
    with torch.no_grad():
        model.box_head.dense2.bias.fill_(float("nan"))
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match="gave a box that is not a number; its weights may be damaged"):
        open_proposer(str(folder), ALL, "cpu").propose(photo(20, 20))


def test_a_folder_is_not_known_by_its_content():
    with pytest.raises(
        ModelError, match="a detector from a folder, whose place the index does not store; give that folder"
    ):
        open_proposer("folder@sha256:0123", ALL, "cpu")
    with pytest.raises(ModelError, match="came from a file, whose place the index does not store; give"):
        open_proposer("file", ALL, "cpu")


@pytest.fixture
def boxes(tmp_path):
    def write(*lines):
        file = tmp_path / "boxes.jsonl"
        file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return str(file)

    return write


def test_boxes_from_a_file_are_taken_as_they_are_the_best_first(boxes):
    file = boxes(
        {"image": "2024/a.jpg", "boxes": [[0, 0, 5, 5], [1, 2.5, 30, 20], [0, 0, 5, 5]], "quality": [0.5, 0.9, 0.1]},
        "",
        {"image": "a.jpg", "boxes": [[3, 3, 4, 4], [1, 1, 2, 2]]},
        {"image": "none.jpg", "boxes": []},
    )
    proposer = open_proposer(file, ProposalLimits(3))
    first = proposer.propose(photo(30, 20, "/photos/2024/a.jpg"))
    assert first.boxes.tolist() == [[1, 2.5, 30, 20], [0, 0, 5, 5], [0, 0, 5, 5]]
    assert first.quality.tolist() == pytest.approx([0.9, 0.5, 0.1])
    assert first.boxes.dtype == first.quality.dtype == np.float32
    second = proposer.propose(photo(30, 20, "/photos/2023/a.jpg"))
    assert second.boxes.tolist() == [[3, 3, 4, 4], [1, 1, 2, 2]]
    assert second.quality.tolist() == [1, 1]
    assert proposer.propose(photo(30, 20, "none.jpg")).boxes.shape == (0, 4)
    assert len(open_proposer(file, ProposalLimits(3, 0.4)).propose(photo(30, 20, "2024/a.jpg"))) == 2
    assert proposer.name == "file"


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([0, 0, 31, 20], r"box 1 of photo 'x/a.jpg' in 'boxes.jsonl', .* is not inside its 30 x 20 pixels"),
        ([-1, 0, 5, 5], r"box 1 of photo 'x/a.jpg' .* is not inside"),
        ([5, 5, 5, 9], r"box 1 of photo 'x/a.jpg' .* has no area; give x1, y1, x2, y2 in pixels"),
        ([9, 5, 5, 9], r"box 1 of photo 'x/a.jpg' .* has no area"),
        ([9, 5, 9.0000001, 9], r"box 1 of photo 'x/a.jpg' .* 9.0000001, .* has no area"),
        ([9, 5, 1e300, 9], r"box 1 of photo 'x/a.jpg' .* is not inside"),
    ],
)
def test_a_box_outside_its_photo_or_without_area_is_refused(boxes, box, said):
    proposer = open_proposer(boxes({"image": "a.jpg", "boxes": [box]}), ProposalLimits(3))
    with pytest.raises(BadPhoto, match=said):
        proposer.prepare(photo(30, 20, "x/a.jpg"))


def test_a_photo_without_a_line_or_a_name_or_with_too_many_boxes_is_refused(boxes):
    proposer = open_proposer(boxes({"image": "a.jpg", "boxes": [[0, 0, 5, 5]] * 4}), ProposalLimits(3))
    with pytest.raises(BadPhoto, match=r"photo 'b.jpg' is not in 'boxes.jsonl'; add a line for it"):
        proposer.prepare(photo(30, 20, "b.jpg"))
    with pytest.raises(BadPhoto, match=r"has no name, so its boxes cannot be found in 'boxes.jsonl'"):
        proposer.prepare(photo(30, 20))
    with pytest.raises(BadPhoto, match=r"photo 'a.jpg' has 4 boxes in 'boxes.jsonl', and at most 3 are taken"):
        proposer.prepare(photo(30, 20, "a.jpg"))


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        {"boxes": []},
        {"image": 3, "boxes": []},
        {"image": "a.jpg"},
        {"image": "a.jpg", "boxes": [[1, 2, 3]]},
        {"image": "a.jpg", "boxes": [1, 2, 3, 4]},
        {"image": "a.jpg", "boxes": [[1, 2, 3, "x"]]},
        '{"image": "a.jpg", "boxes": [[1, 2, 3, NaN]]}',
        {"image": "a.jpg", "boxes": [[1, 2, 3, 4]], "quality": [0.5, 0.5]},
        {"image": "a.jpg", "boxes": [[1, 2, 3, 4]], "quality": [1.5]},
    ],
)
def test_a_line_that_is_not_as_expected_is_named(boxes, line):
    with pytest.raises(ModelError, match=r"line 2 of '.*boxes.jsonl' (is not of the form|needs four numbers)"):
        open_proposer(boxes({"image": "b.jpg", "boxes": []}, line), ALL)


def test_a_file_of_boxes_that_cannot_be_read_is_named(boxes, tmp_path):
    with pytest.raises(ModelError, match=r"the file of boxes '.*none.jsonl' cannot be read"):
        open_proposer(str(tmp_path / "none.jsonl"), ALL)
    twice = {"image": "b.jpg", "boxes": []}
    with pytest.raises(ModelError, match=r"line 2 of '.*' names photo 'b.jpg' a second time; write all"):
        open_proposer(boxes(twice, twice), ALL)


@pytest.mark.fault("6.s.26")
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_file_of_boxes_names_photos_in_either_form_of_an_accent(form, tmp_path):
    name = "Müller/é.jpg"
    file = tmp_path / "boxes.jsonl"
    file.write_text(json.dumps({"image": unicodedata.normalize(form, name), "boxes": [[1, 1, 9, 9]]}))
    proposer = open_proposer(str(file), ALL, "cpu")
    for other in ("NFC", "NFD"):
        assert len(proposer.propose(photo(30, 20, unicodedata.normalize(other, f"/photos/{name}")))) == 1
