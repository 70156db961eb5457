import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPTokenizer, Owlv2ForObjectDetection, Owlv2Processor

from sorce.errors import ModelError
from sorce.mappings import Box, Picture
from sorce.models import load_encoder, load_model
from sorce.models.checkpoint import find
from sorce.models.encoder import Encoder
from sorce.models.objects import method as method_module
from sorce.models.objects.method import kept, widened
from sorce.models.objects.opening import open_objects, open_texts
from sorce.models.objects.settings import ObjectsSettings
from tests.kit import owl, tiny
from tests.kit.close import assert_close

TEXTS = ["a cat", "A red cup on the left", "", "word " * 40, "half of a pair \ud800"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    makers = {"owl": owl.owlv2, "detr": owl.detr, "clip": tiny.clip}
    return {name: str(make(tmp_path_factory.mktemp(name))) for name, make in makers.items()}


@pytest.fixture(scope="module")
def by_owl(folders):
    return open_objects(find(folders["owl"]), ObjectsSettings(vectors="owl", max_regions=12), "cpu")


@pytest.fixture(scope="module")
def cropped(folders):
    settings = ObjectsSettings(detector=folders["owl"], max_regions=12, margin=0.5)
    return open_objects(find(folders["clip"]), settings, "cpu")


def photo(width, height):
    return Picture(Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)))


def same(one, other):
    assert [region.box for region in one] == [region.box for region in other]
    assert [region.quality for region in one] == [region.quality for region in other]
    assert_close([region.vec for region in one], [region.vec for region in other])


@pytest.mark.parametrize("vectors", ["by_owl", "cropped"])
def test_the_whole_photo_comes_first_then_objects_by_falling_objectness(request, vectors):
    [regions] = request.getfixturevalue(vectors).embed_photos([photo(90, 60)])
    assert [region.kind for region in regions] == ["whole"] + ["object"] * 11
    assert regions[0].box == Box(0, 0, 90, 60)
    assert regions[0].quality == 0
    qualities = [region.quality for region in regions[1:]]
    assert qualities == sorted(qualities, reverse=True)
    assert all(0 < quality < 1 for quality in qualities)
    for region in regions:
        assert region.vec.dtype == np.float32
        assert np.linalg.norm(region.vec) == pytest.approx(1, abs=1e-6)
        assert region.box.x1 >= 0 and region.box.y1 >= 0 and region.box.x2 <= 90 and region.box.y2 <= 60  # noqa: PT018


def test_both_kinds_of_vectors_have_the_same_boxes(by_owl, cropped):
    picture = photo(90, 60)
    [one], [other] = by_owl.embed_photos([picture]), cropped.embed_photos([picture])
    assert [region.box for region in one] == [region.box for region in other]
    assert [region.quality for region in one] == [region.quality for region in other]


@pytest.mark.parametrize("vectors", ["by_owl", "cropped"])
@pytest.mark.bfloat16
def test_photos_of_different_sizes_get_together_what_each_gets_alone(request, vectors):
    model = request.getfixturevalue(vectors)
    pictures = [photo(90, 60), photo(1, 1), photo(33, 40), photo(1, 70), photo(150, 20)]
    for picture, regions in zip(pictures, model.embed_photos(pictures), strict=True):
        same(regions, model.embed_photos([picture])[0])
        assert regions[0].box == Box(0, 0, *picture.size)


def test_owls_vectors_are_its_class_embeddings_normalised(folders, by_owl):
    picture = photo(32, 20)
    processor = Owlv2Processor.from_pretrained(folders["owl"])
    network = Owlv2ForObjectDetection.from_pretrained(folders["owl"])
    with torch.inference_mode():
        output = network(**processor(text=[["a cup"]], images=[picture.image], return_tensors="pt"))
    best = output.objectness_logits[0].argsort(descending=True)
    corners = output.pred_boxes[0, best]
    corners = torch.cat([corners[:, :2] - corners[:, 2:] / 2, corners[:, :2] + corners[:, 2:] / 2], 1) * 32
    expected = torch.nn.functional.normalize(output.class_embeds[0, best], dim=-1).numpy()
    [regions] = by_owl.embed_photos([picture])
    for region in regions[1:]:
        [row] = np.flatnonzero(
            np.isclose(output.objectness_logits[0, best].sigmoid().numpy(), region.quality, atol=1e-6)
        )
        assert region.vec == pytest.approx(expected[row], abs=1e-5)
        x1, y1, x2, y2 = corners[row].tolist()
        assert region.box.as_tuple() == pytest.approx((max(x1, 0), max(y1, 0), min(x2, 32), min(y2, 20)), abs=1e-3)
    clipped = corners.clamp(min=0).minimum(torch.tensor([32.0, 20.0] * 2))
    area = (clipped[:, 2:] - clipped[:, :2]).clamp(min=0).prod(1)
    assert regions[0].vec == pytest.approx(expected[int(area.argmax())], abs=1e-5)


def test_owls_texts_are_its_text_features_normalised(folders, by_owl):
    network = Owlv2ForObjectDetection.from_pretrained(folders["owl"])
    tokenizer = CLIPTokenizer.from_pretrained(folders["owl"])
    plain = [text.encode(errors="replace").decode() for text in TEXTS]
    tokens = tokenizer(plain, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        expected = network.owlv2.get_text_features(**tokens).pooler_output
    expected = torch.nn.functional.normalize(expected, dim=-1).numpy()
    assert by_owl.embed_texts(TEXTS) == pytest.approx(expected, abs=1e-5)
    assert by_owl.embed_texts([]).shape == (0, by_owl.recipe.dimension)
    assert open_texts(find(folders["owl"]), "owl", "cpu").embed_texts(TEXTS) == pytest.approx(expected, abs=1e-5)


def test_a_search_on_crops_needs_only_the_encoder(folders, cropped):
    texts = open_texts(find(folders["clip"]), "crops", "cpu")
    assert isinstance(texts, Encoder)
    assert texts.embed_texts(TEXTS) == pytest.approx(cropped.embed_texts(TEXTS), abs=1e-6)


@pytest.mark.bfloat16
def test_a_crop_is_the_box_with_its_margin(cropped):
    picture = photo(90, 60)
    [regions] = cropped.embed_photos([picture])
    assert cropped.recipe.parameters["margin"] == 0.5
    views = [cropped.encoder.view(picture.image, widened(region.box, 0.5, 90, 60)) for region in regions[1:]]
    whole = cropped.encoder.view(picture.image, Box(0, 0, 90, 60))
    expected = cropped.encoder.embed_views([whole, *views])
    assert_close([region.vec for region in regions], expected)


@pytest.mark.parametrize(
    ("box", "margin", "around"),
    [
        (Box(40, 30, 60, 40), 0.0, Box(40, 30, 60, 40)),
        (Box(40, 30, 60, 40), 0.25, Box(35, 25, 65, 45)),
        (Box(2, 30, 22, 40), 0.5, Box(0, 20, 32, 50)),
        (Box(0, 0, 100, 50), 0.5, Box(0, 0, 100, 50)),
        (Box(90, 45, 100, 50), 1.0, Box(80, 35, 100, 50)),
    ],
)
def test_a_margin_is_a_share_of_the_longer_side_and_ends_with_the_photo(box, margin, around):
    assert widened(box, margin, 100, 50) == around


def test_of_a_huge_photo_fewer_pixels_wait_for_the_crops(monkeypatch, cropped):
    monkeypatch.setattr(method_module, "MAX_KEPT", 1000)
    cut = cropped.prepare(photo(90, 60))
    assert cut.photo.width * cut.photo.height <= 1000
    assert kept(photo(20, 50).image).size == (20, 50)
    [regions] = cropped.encode([cut])
    assert len(regions) == 12
    assert regions[0].box == Box(0, 0, 90, 60)
    monkeypatch.undo()
    assert [region.box for region in regions] == [region.box for region in cropped.embed_photos([photo(90, 60)])[0]]


def test_a_photo_without_an_object_is_the_whole_photo(folders):
    for parameters in (
        {"detector": folders["detr"], "min_quality": 1.0},
        {"detector": folders["detr"], "max_regions": 1},
    ):
        model = open_objects(find(folders["clip"]), ObjectsSettings(**parameters), "cpu")
        [[region]] = model.embed_photos([photo(90, 60)])
        assert region.kind == "whole"
        assert region.box == Box(0, 0, 90, 60)


def test_a_closed_set_proposes_and_the_encoder_embeds(folders):
    model = open_objects(find(folders["clip"]), ObjectsSettings(detector=folders["detr"]), "cpu")
    [regions] = model.embed_photos([photo(90, 60)])
    assert len(regions) > 1
    assert model.recipe.backend == "torchvision-bicubic+torchvision"
    assert model.recipe.parameters["detector"] == f"folder@{find(folders['detr']).revision}"


def test_the_recipe_names_what_decides_the_vectors_and_no_path(folders, by_owl, cropped):
    assert by_owl.recipe.model == "folder"
    assert by_owl.recipe.revision == find(folders["owl"]).revision
    assert by_owl.recipe.regions == cropped.recipe.regions == "objects"
    assert by_owl.recipe.dimension == 32
    assert by_owl.recipe.parameters == {
        "detector": "auto",
        "vectors": "owl",
        "max_regions": 12,
        "margin": 0.0,
        "min_quality": 0.0,
    }
    assert by_owl.recipe.prompts == {"whole": "the class embedding of the box that overlaps the photo most"}
    assert cropped.recipe.revision == find(folders["clip"]).revision
    assert cropped.recipe.parameters == {
        "detector": f"folder@{find(folders['owl']).revision}",
        "vectors": "crops",
        "max_regions": 12,
        "margin": 0.5,
        "min_quality": 0.0,
    }
    assert cropped.recipe.backend == "torchvision-bicubic+pillow-bilinear"
    assert not any(folder in str(cropped.recipe.to_meta()) for folder in folders.values())


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"vectors": "cls"}, "vectors=cls is not known; choose crops or owl."),
        ({"max_regions": 0}, "max_regions=0 is out of range; choose 1 to 10000, such as 100."),
        (
            {"max_regions": 10_001},
            "max_regions=10001 is out of range; choose 1 to 10000, such as 100.",
        ),
        ({"margin": -0.1}, "margin=-0.1 is not a share of a box's side; choose 0 to 2, such as 0.15."),
        ({"margin": float("nan")}, "margin=nan is not a share of a box's side; choose 0 to 2, such as 0.15."),
        ({"min_quality": 1.5}, "min_quality=1.5 is out of range; choose 0 to 1, such as 0."),
        (
            {"vectors": "owl", "detector": "PekingU/rtdetr_r50vd"},
            "with vectors=owl the boxes are the model's own; leave the detector out, or choose vectors=crops.",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(parameters, said):
    with pytest.raises(ModelError) as refusal:
        ObjectsSettings(**parameters)
    assert str(refusal.value) == said


def test_another_family_is_refused(folders):
    with pytest.raises(ModelError, match=r"is a detr, and vectors=owl needs an OWLv2; choose one such as google/owlv2"):
        open_objects(find(folders["detr"]), ObjectsSettings(vectors="owl"), "cpu")
    with pytest.raises(
        ModelError, match=r"is an OWLv2, which does not encode crops; choose vectors=owl, or name it as"
    ):
        open_objects(find(folders["owl"]), ObjectsSettings(), "cpu")
    with pytest.raises(ModelError, match="which cannot find objects"):
        open_objects(find(folders["clip"]), ObjectsSettings(detector=folders["clip"]), "cpu")


def test_an_owl_without_a_tokenizer_proposes_but_gives_no_vectors(folders, tmp_path):
    folder = owl.owlv2(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match="tokenizer"):
        open_objects(find(str(folder)), ObjectsSettings(vectors="owl"), "cpu")
    model = open_objects(find(folders["clip"]), ObjectsSettings(detector=str(folder), max_regions=3), "cpu")
    assert len(model.embed_photos([photo(40, 40)])[0]) == 3


@pytest.mark.parametrize("vectors", ["owl", "crops"])
def test_an_index_is_continued_and_searched_by_its_recipe(folders, vectors):
    name = folders["owl" if vectors == "owl" else "clip"]
    given = {"vectors": vectors, "max_regions": 5} | ({} if vectors == "owl" else {"detector": folders["owl"]})
    model = load_model(name, "objects", given, "cpu")
    # The parameters that ingest passes from the index's recipe. A folder must be given again.
    again = {**model.recipe.parameters, **({"detector": folders["owl"]} if vectors == "crops" else {})}
    assert load_model(name, "objects", again, "cpu").recipe == model.recipe
    texts = load_encoder(model.recipe, "cpu", name)
    assert texts.embed_texts(["a cup"]) == pytest.approx(model.embed_texts(["a cup"]), abs=1e-6)
