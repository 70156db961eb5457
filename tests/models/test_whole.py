from sorce.mappings import Box, Picture
from sorce.models.whole import Whole


def test_a_photo_is_one_region(encoder, photo):
    model = Whole(encoder)
    [[region], [other]] = model.embed_photos([Picture(photo), Picture(photo.crop((0, 0, 1, 9)))])
    assert (region.kind, region.box, region.quality) == ("whole", Box(0, 0, 320, 200), 1.0)
    assert other.box == Box(0, 0, 1, 9)
    assert region.vec.shape == (encoder.dimension,)


def test_the_recipe_has_no_parameters(encoder):
    assert Whole(encoder).recipe.regions == "whole"
    assert Whole(encoder).recipe.parameters == {}
