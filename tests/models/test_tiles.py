import math

import numpy as np
import pytest
from PIL import Image

from sorce.errors import ModelError
from sorce.mappings import Box, Picture
from sorce.models import load_model
from sorce.models.distinct_crops import distinct_crops
from sorce.models.near_duplicates import most_distinct, rarity
from sorce.models.tiles import MIN_ENCODED, Tiles
from sorce.models.tiling import TileSettings
from sorce.models.whole import Whole


@pytest.fixture
def model(encoder):
    return Tiles(encoder, TileSettings(min_object_size=0.1, max_regions=60))


def test_region_0_is_the_whole_photo_and_the_others_are_tiles(model, encoder, photo):
    [regions] = model.embed_photos([Picture(photo)])
    assert 10 < len(regions) <= 60
    assert [region.kind for region in regions] == ["whole"] + ["tile"] * (len(regions) - 1)
    assert regions[0].box == Box(0, 0, 320, 200)
    [[whole]] = Whole(encoder).embed_photos([Picture(photo)])
    np.testing.assert_allclose(regions[0].vec, whole.vec, atol=1e-5)


def test_a_tiles_vector_is_that_of_its_box_in_the_original_pixels(encoders, photo):
    encoder = encoders["clip"]
    [regions] = Tiles(encoder, TileSettings(min_object_size=0.1, max_regions=60)).embed_photos([Picture(photo)])
    alone = encoder.embed_views([encoder.view(photo, region.box) for region in regions])
    # A tile is cut out of the scaled photo, so a brightness may be rounded differently.
    assert min(region.vec @ vec for region, vec in zip(regions, alone, strict=True)) > 0.999


def test_photos_of_a_batch_get_what_each_gets_alone(model, photo):
    images = [photo, photo.resize((33, 500)), photo.crop((0, 0, 1, 1)), photo.rotate(90, expand=True)]
    photos = [Picture(image) for image in images]
    together = model.embed_photos(photos)
    for picture, regions in zip(photos, together, strict=True):
        [alone] = model.embed_photos([picture])
        assert [region.box for region in regions] == [region.box for region in alone]
        np.testing.assert_allclose([r.vec for r in regions], [r.vec for r in alone], atol=1e-5)


def test_regions_share_one_array(model, photo):
    [regions] = model.embed_photos([Picture(photo)])
    assert len({id(region.vec.base) for region in regions}) == 1
    assert all(region.vec.dtype == np.float32 for region in regions)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3000, 2), (64, 64), (5000, 30)])
def test_odd_photos_work(model, size):
    [regions] = model.embed_photos([Picture(Image.new("RGB", size, "navy"))])
    assert 1 <= len(regions) <= 60


def test_no_photos_are_no_regions(model):
    assert model.embed_photos([]) == []


def test_the_recipe_holds_the_parameters(model):
    assert model.recipe.regions == "tiles"
    assert model.recipe.parameters == {"min_object_size": 0.1, "max_regions": 60, "max_stored": 114}
    assert model.recipe != Tiles(model.encoder, TileSettings(min_object_size=0.1, max_regions=61)).recipe
    assert model.recipe != Tiles(model.encoder, TileSettings(min_object_size=0.1, max_regions=60, max_stored=59)).recipe


def test_only_so_many_are_kept(model, photo):
    [all_of_them] = model.embed_photos([Picture(photo)])
    few = TileSettings(min_object_size=0.1, max_regions=60, max_stored=9)
    [kept] = Tiles(model.encoder, few).embed_photos([Picture(photo)])
    assert [region.kind for region in kept] == ["whole"] + ["tile"] * 8
    assert {region.box for region in kept} <= {region.box for region in all_of_them}
    vectors = np.stack([region.vec for region in all_of_them])
    places = most_distinct(vectors, 9, rarity(vectors))
    assert [region.box for region in kept] == [all_of_them[place].box for place in places]
    assert places != most_distinct(vectors, 9)


def test_a_share_of_the_crops_is_encoded_the_whole_photo_first(encoders):
    # A red dot on plain grey: tiles without it all show the same.
    photo = Image.new("RGB", (900, 600), "grey")
    photo.paste("red", (610, 410, 625, 425))
    every, half = (
        Tiles(encoders["clip"], TileSettings(0.05, max_regions=2000, encoded_share=share)) for share in (1, 0.5)
    )
    planned, chosen = every.prepare(Picture(photo)), half.prepare(Picture(photo))
    assert len(chosen.boxes) == len(chosen.views) == math.ceil(len(planned.boxes) / 2) > MIN_ENCODED
    assert chosen.boxes[0] == planned.boxes[0]
    assert set(chosen.boxes) < set(planned.boxes)
    with_all_of_it = {
        box for box in planned.boxes[1:] if box.x1 < 610 and box.x2 > 625 and box.y1 < 410 and box.y2 > 425
    }
    assert with_all_of_it & set(chosen.boxes)


def test_a_small_photo_has_all_its_crops_encoded(encoders, photo):
    few = TileSettings(min_object_size=0.3, encoded_share=0.1)
    assert len(Tiles(encoders["clip"], few).prepare(Picture(photo)).boxes) == len(
        Tiles(encoders["clip"], TileSettings(min_object_size=0.3)).prepare(Picture(photo)).boxes
    )


def test_the_share_is_part_of_the_recipe_unless_it_is_all(encoders):
    every, half = (Tiles(encoders["clip"], TileSettings(encoded_share=share)).recipe for share in (1.0, 0.5))
    assert "encoded_share" not in every.parameters
    assert half.parameters["encoded_share"] == 0.5
    assert every != half


def test_crops_are_chosen_by_colours_and_by_what_lies_inside():
    grey, inside, across = (np.full((96, 96, 3), 128, np.uint8) for _ in range(3))
    inside[40:56, 40:56] = across[40:56, :16] = (255, 0, 0)
    assert distinct_crops([grey, grey, across, inside, grey], 2) == [0, 3]
    assert distinct_crops([grey, grey], 5) == [0, 1]


@pytest.mark.parametrize("share", [0, -1, 1.5, float("nan")])
def test_a_share_without_sense_is_refused(share):
    with pytest.raises(ModelError, match=r"such as 0\.5"):
        TileSettings(encoded_share=share)


@pytest.mark.fault("12.2.1")
def test_the_note_says_how_small_an_object_can_be_found_and_to_raise_max_regions(encoders):
    model = Tiles(encoders["clip"], TileSettings(min_object_size=0.1, max_regions=20))
    assert Tiles(encoders["clip"], TileSettings(min_object_size=0.1, max_regions=10000)).note(320, 200) is None
    assert model.note(320, 200) == (
        "with --max-regions 20, the smallest object that can be found in a photo of 320 x 200 px is about 126 px a "
        "side, instead of 47 px; raise --max-regions to find smaller objects (252 allows all tiles)."
    )


@pytest.mark.fault("12.2.1")
def test_doing_what_the_note_says_helps(encoders):
    said = [
        Tiles(encoders["clip"], TileSettings(max_regions=most)).note(1600, 1200) for most in (20, 90, 250, 800, 10000)
    ]
    sizes = [int(note.split("about ")[1].split()[0]) for note in said if note is not None]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes) > 1
    assert said[-1] is None


@pytest.mark.parametrize(
    ("min_object_size", "max_regions", "max_stored"),
    [(0, 9, 9), (-1, 9, 9), (1.1, 9, 9), (float("nan"), 9, 9), (0.1, 0, 9), (0.1, 9, 0)],
)
def test_parameters_without_sense_are_refused(min_object_size, max_regions, max_stored):
    with pytest.raises(ModelError, match="such as"):
        TileSettings(min_object_size, max_regions, max_stored)


@pytest.mark.fault("7.7.2")
@pytest.mark.parametrize(
    ("regions", "parameters"),
    [
        ("tiles", {"max_regions": 10_001, "max_stored": 10_001}),
        ("clusters", {"clusters": 10_000}),
        ("objects", {"max_regions": 10_001}),
    ],
)
def test_more_regions_than_a_document_holds_are_refused_before_the_model_is_loaded(regions, parameters):
    with pytest.raises(ModelError, match="10000"):
        load_model("nobody/has-this-model", regions, parameters)


def test_all_regions_may_be_encoded_where_few_are_stored():
    assert TileSettings(max_regions=1_000_000).max_stored == 114
    assert TileSettings(max_regions=10_000, max_stored=1_000_000).max_regions == 10_000
