from pathlib import Path

import numpy as np
import pytest

from sorce.evaluate.metrics import (
    accuracy,
    alone,
    average_precision,
    best_region_scores,
    iou,
    mean_accuracy,
    mean_average_precision,
    ranks,
    ranks_in,
    recall_at,
)

GOLDEN = Path(__file__).parents[1] / "golden/metrics"


@pytest.fixture(scope="module")
def golden():
    return {**np.load(GOLDEN / "inputs.npz"), **np.load(GOLDEN / "expected.npz")}


@pytest.mark.parametrize("k", [5, 10, 50])
def test_average_precision_at_k_is_the_published_one(golden, k):
    found = ranks(golden["map_similarity"], golden["map_relevant"])
    assert [average_precision(places, k) for places in found] == pytest.approx(golden[f"map/ap@{k}"], abs=1e-6)
    assert mean_average_precision(found, k) == pytest.approx(float(golden[f"map/map@{k}"]), abs=1e-6)


@pytest.mark.parametrize("k", [5, 10, 50])
def test_attainable_average_precision_is_divided_by_at_most_k(golden, k):
    found = ranks(golden["map_similarity"], golden["map_relevant"])
    mean = np.mean([average_precision(places, k, attainable=True) for places in found])
    assert mean == pytest.approx(float(golden[f"map_min/map@{k}"]), abs=1e-6)


@pytest.mark.parametrize("k", [5, 10, 50])
def test_a_ranking_that_ends_at_k_is_as_good_as_a_whole_one(golden, k):
    for scores, relevant in zip(golden["map_similarity"], golden["map_relevant"], strict=True):
        order = [str(photo) for photo in np.argsort(-scores, kind="stable")]
        wanted = [str(photo) for photo in relevant.nonzero()[0]]
        [whole] = ranks(scores[None], relevant[None])
        assert list(ranks_in(order, wanted)) == list(whole)
        for attainable in (False, True):
            cut = average_precision(ranks_in(order[:k], wanted), k, attainable=attainable)
            assert cut == average_precision(whole, k, attainable=attainable)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_image_to_text_recall_is_the_published_one(golden, k):
    scores = golden["sorce_scores"]
    photos, texts = scores.shape
    relevant = np.arange(photos)[:, None] % texts == np.arange(texts)
    assert recall_at(k, ranks(scores, relevant)) == pytest.approx(float(golden[f"sorce/text_recall@{k}"]))


@pytest.mark.parametrize(("name", "scores"), [("sorce", "sorce_scores"), ("sorce_negative", "sorce_scores_negative")])
@pytest.mark.parametrize("k", [1, 5, 10])
def test_a_score_of_0_for_the_other_zooms_is_the_released_sorce_recall(golden, name, scores, k):
    texts = golden[scores].shape[1]
    for level, place in (("easy", 0), ("medium", 1), ("hard", 2)):
        released = golden[scores].T.copy()
        own = np.arange(3 * texts) % texts == np.arange(texts)[:, None]
        this = own & (np.arange(3 * texts) // texts == place)
        released[own & ~this] = 0
        hits = [bool((places <= k).any()) for places in ranks(released, this)]
        assert hits == list(golden[f"{name}/{level}_hit@{k}"])


def test_a_photo_alone_is_not_behind_the_other_right_ones():
    assert list(alone(np.array([2.0, 7.0, 1.0, np.inf]))) == [1, 5, 1, np.inf]


def test_iou_is_that_of_sorec(golden):
    truth = golden["sorec_gt_xywh"].copy()
    truth[:, 2:] += truth[:, :2]
    overlaps = iou(golden["sorec_pred_xyxy"], truth[:, None])
    np.testing.assert_allclose(overlaps, golden["sorec/iou"], atol=1e-6)
    assert accuracy(overlaps[:, 0], 0.5).mean() == pytest.approx(float(golden["sorec/acc50"]))
    assert accuracy(overlaps[:, 0], 0.75).mean() == pytest.approx(float(golden["sorec/acc75"]))
    assert mean_accuracy(overlaps[:, 0]).mean() == pytest.approx(float(golden["sorec/macc_our_reading"]))
    for k in (1, 5, 10):
        best = overlaps[:, :k].max(axis=1)
        found = [accuracy(best, threshold).mean() for threshold in golden["sorec/thresholds"]]
        assert found == pytest.approx(list(golden[f"sorec/acc_by_threshold@{k}"]))


def test_an_iou_of_exactly_a_half_counts():
    half = iou(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 5]]))
    assert accuracy(half, 0.5).all()
    assert mean_accuracy(half) == pytest.approx([0.1])


def test_a_photo_scores_by_its_best_region():
    texts = np.eye(2, dtype=np.float32)
    photos = [np.array([[0.6, 0.8]], np.float32), np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)]
    np.testing.assert_allclose(best_region_scores(texts, photos), [[0.6, 1.0], [0.8, 1.0]], rtol=1e-6)


def test_a_query_without_a_relevant_photo_counts_as_nothing_found():
    found = ranks(np.zeros((1, 3)), np.zeros((1, 3), dtype=bool))
    assert recall_at(3, found) == 0
    assert mean_average_precision(found) == 0
