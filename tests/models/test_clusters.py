import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from sorce.errors import ModelError
from sorce.mappings import Box, Picture
from sorce.models.aggregate import divided, summarised
from sorce.models.checkpoint import find
from sorce.models.clusters import Clusters
from sorce.models.encoder import Encoder
from sorce.models.patches import AGGREGATIONS, ClusterSettings, divide
from sorce.models.whole import Whole


@pytest.fixture(scope="module")
def clip(encoders):
    return encoders["clip"]


@pytest.fixture(scope="module")
def siglip(encoders):
    return encoders["siglip"]


def picture(width, height):
    return Picture(Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)))


def unit(features):
    return (features / np.linalg.norm(features, axis=-1, keepdims=True)).astype(np.float32)


def noise(rows, columns, dimension=8):
    return unit(np.random.default_rng(0).normal(size=(rows, columns, dimension)))


def smooth(rows, columns):
    return unit(ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(rows, columns, 8)), (2, 2, 0)))


@pytest.fixture
def two_colours():
    """6 x 10 patches: one vector inside of rows 1 to 3 and columns 4 to 8, another outside."""
    features = np.zeros((6, 10, 8), np.float32)
    features[..., 0] = 1
    features[1:4, 4:9] = np.eye(8)[1]
    return features


@pytest.mark.parametrize("aggregation", ["ward", "kmeans"])
def test_a_cluster_is_what_looks_alike_with_the_box_of_its_mask(two_colours, aggregation):
    labels = divided(two_colours, 2, aggregation)
    around, inside = sorted(summarised(two_colours, labels, 500, 240), key=lambda region: -region.box.area)
    assert inside.box == Box(200, 40, 450, 160)
    assert around.box == Box(0, 0, 500, 240)
    assert inside.vec.tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert around.vec.tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert inside.coherence == around.coherence == pytest.approx(1)
    assert {inside.kind, around.kind} == {"cluster"}
    assert inside.quality == around.quality == 1


def test_grid_cells_are_equal_and_cover_the_photo(two_colours):
    regions = summarised(two_colours, divided(two_colours, 15, "grid"), 500, 240)
    assert len(regions) == 15
    assert {(region.box.x2 - region.box.x1, region.box.y2 - region.box.y1) for region in regions} == {(100, 80)}
    assert sum(region.box.area for region in regions) == 500 * 240


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 2), (1, 9), (9, 1), (7, 13)])
@pytest.mark.parametrize("clusters", [1, 2, 5, 8, 50, 1000])
def test_there_are_as_many_clusters_as_asked_for_where_there_are_patches(aggregation, rows, columns, clusters):
    labels = divided(noise(rows, columns), clusters, aggregation)
    assert labels.shape == (rows, columns)
    count = labels.max() + 1
    assert np.unique(labels).tolist() == list(range(count))
    if aggregation == "grid":
        assert min(clusters, rows * columns) / 2 <= count <= clusters
    else:
        assert count == min(clusters, rows * columns)


@pytest.mark.parametrize("clusters", [2, 10, 40])
@pytest.mark.parametrize("aggregation", ["ward", "grid"])
def test_clusters_of_ward_and_grid_are_connected(aggregation, clusters):
    labels = divided(noise(12, 17), clusters, aggregation)
    assert all(ndimage.label(labels == label)[1] == 1 for label in range(labels.max() + 1))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_the_same_features_give_the_same_clusters(aggregation):
    features = smooth(30, 40)
    assert np.array_equal(divided(features, 25, aggregation), divided(features.copy(), 25, aggregation))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_plain_surface_can_be_clustered(aggregation):
    features = np.broadcast_to(np.eye(8, dtype=np.float32)[0], (10, 10, 8))
    regions = summarised(features, divided(features, 16, aggregation), 100, 100)
    assert 1 <= len(regions) <= 16
    assert all(region.coherence == pytest.approx(1) for region in regions)


def test_coherence_follows_from_the_mean_cosine_of_the_patches():
    features = noise(5, 4, 16)
    [region] = summarised(features, np.zeros((5, 4), np.int64), 40, 50)
    flat = features.reshape(20, 16).astype(np.float64)
    mean_cosine = ((flat @ flat.T).sum() - 20) / (20 * 19)
    assert region.coherence == pytest.approx((mean_cosine + (1 - mean_cosine) / 20) ** 0.5, abs=1e-6)
    assert region.vec == pytest.approx(unit(flat.mean(0)), abs=1e-6)


@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (1200, 1600), (6000, 4000), (640, 480), (300, 20)])
@pytest.mark.parametrize("smallest", [0.025, 0.1])
def test_the_smallest_object_covers_two_patches_a_side(width, height, smallest):
    rows, columns = divide(width, height, smallest)
    object_side = max(22, smallest * max(width, height))
    assert object_side / (max(width, height) / max(rows, columns)) == pytest.approx(2, rel=0.06)


def test_a_larger_photo_has_no_more_patches():
    assert divide(1600, 1200, 0.025) == divide(16000, 12000, 0.025) == (60, 80)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 2), (50, 40), (700, 500), (2000, 60)])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_any_photo_gives_regions_within_itself(clip, shape, aggregation):
    model = Clusters(clip, ClusterSettings(clusters=20, aggregation=aggregation))
    [[whole, *clusters]] = model.embed_photos([picture(*shape)])
    assert whole.box == Box(0, 0, *shape)
    assert (whole.kind, whole.coherence) == ("whole", None)
    assert 1 <= len(clusters) <= 20
    for region in clusters:
        assert region.box.x1 >= 0
        assert region.box.y1 >= 0
        assert region.box.x2 <= shape[0] + 1e-9
        assert region.box.y2 <= shape[1] + 1e-9
        assert region.kind == "cluster"
        assert 0 < region.coherence <= 1
        assert region.vec.dtype == np.float32
        assert region.vec.shape == (clip.dimension,)
        assert np.linalg.norm(region.vec) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("encoder", ["clip", "siglip"])
def test_the_whole_photo_has_the_encoders_own_vector(request, encoder):
    encoder, photos = request.getfixturevalue(encoder), [picture(90, 70), picture(300, 200)]
    regions = Clusters(encoder, ClusterSettings(clusters=4)).embed_photos(photos)
    for found, [whole] in zip(regions, Whole(encoder).embed_photos(photos), strict=True):
        assert found[0].vec == pytest.approx(whole.vec, abs=1e-6)


def test_photos_together_are_as_one_by_one(clip):
    model, photos = Clusters(clip, ClusterSettings(clusters=9)), [picture(200, 150), picture(64, 300)]
    together = model.embed_photos(photos)
    for alone, beside in zip((model.embed_photos([each])[0] for each in photos), together, strict=True):
        assert [region.box for region in alone] == [region.box for region in beside]
        assert np.allclose([region.vec for region in alone], [region.vec for region in beside], atol=1e-6)


def test_vectors_are_means_of_the_patches_under_the_box(clip):
    model = Clusters(clip, ClusterSettings(clusters=6, aggregation="grid"))
    seen = model.prepare(picture(220, 220))
    features = model.features(seen)
    assert features.shape == (20, 20, clip.dimension)
    region = model.encode([seen])[0][1]
    box = region.box
    mean = features[int(box.y1 / 11) : int(box.y2 / 11), int(box.x1 / 11) : int(box.x2 / 11)].mean((0, 1))
    assert region.vec == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_the_recipe_says_what_auto_was(clip, siglip):
    parameters = {
        "min_object_size": 0.05,
        "clusters": 30,
        "aggregation": "ward",
        "features": "naclip",
        "positions": "size",
    }
    recipe = Clusters(clip, ClusterSettings(min_object_size=0.05, clusters=30)).recipe
    assert recipe.regions == "clusters"
    assert recipe.parameters == parameters
    assert Clusters(clip, ClusterSettings(**recipe.parameters)).recipe == recipe
    assert Clusters(siglip).recipe.parameters["features"] == "value"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"clusters": 0}, "clusters=0 is out of range, .* choose 1 to 9999, such as 128"),
        ({"min_object_size": 0}, "min_object_size=0 divides a photo into too many patches or none"),
        ({"min_object_size": 0.001}, "choose a share of its longer side from 0.01 to 1"),
        ({"min_object_size": 1.5}, "min_object_size=1.5"),
        ({"min_object_size": float("nan")}, "min_object_size=nan"),
        ({"aggregation": "spectral"}, "there is no aggregation 'spectral'; choose one of ward, kmeans, grid"),
    ],
)
def test_settings_that_make_no_sense_are_refused(parameters, message):
    with pytest.raises(ModelError, match=message):
        ClusterSettings(**parameters)


def test_an_encoder_of_another_family_is_refused(encoders):
    with pytest.raises(ModelError, match=r"'.*' has no patch features, .* or the regions method tiles\.$"):
        Clusters(encoders["siglip2"])


def test_damaged_weights_are_said(clip, monkeypatch):
    model = Clusters(clip)
    monkeypatch.setattr(model, "_embed", lambda views: torch.full((len(views), 2, 2, 16), float("nan")))
    with pytest.raises(ModelError, match="gave a patch a vector that is zero or not a number"):
        model.features(model.prepare(picture(20, 20)))


def test_mini_clusters_a_photo():
    model = Clusters(Encoder(find("mini"), "cpu"), ClusterSettings(min_object_size=0.1))
    [regions] = model.embed_photos([picture(320, 240)])
    assert len(regions) == 1 + 128
    assert model.embed_texts(["a red umbrella"]).shape == (1, len(regions[0].vec))
