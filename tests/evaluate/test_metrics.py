from pathlib import Path

import numpy as np
import pytest

from sorce.evaluate.metrics import average_precision, best_region_scores, mean_average_precision, ranks, recall_at

GOLDEN = Path(__file__).parents[1] / "golden/metrics"


@pytest.fixture(scope="module")
def golden():
    return {**np.load(GOLDEN / "inputs.npz"), **np.load(GOLDEN / "expected.npz")}


@pytest.mark.parametrize("k", [5, 10, 50])
def test_average_precision_at_k_is_the_published_one(golden, k):
    found = ranks(golden["map_similarity"], golden["map_relevant"])
    assert [average_precision(places, k) for places in found] == pytest.approx(golden[f"map/ap@{k}"], abs=1e-6)
    assert mean_average_precision(found, k) == pytest.approx(float(golden[f"map/map@{k}"]), abs=1e-6)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_image_to_text_recall_is_the_published_one(golden, k):
    scores = golden["sorce_scores"]
    photos, texts = scores.shape
    relevant = np.arange(photos)[:, None] % texts == np.arange(texts)
    assert recall_at(k, ranks(scores, relevant)) == pytest.approx(float(golden[f"sorce/text_recall@{k}"]))


def test_a_photo_scores_by_its_best_region():
    texts = np.eye(2, dtype=np.float32)
    photos = [np.array([[0.6, 0.8]], np.float32), np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)]
    np.testing.assert_allclose(best_region_scores(texts, photos), [[0.6, 1.0], [0.8, 1.0]], rtol=1e-6)


def test_a_query_without_a_relevant_photo_counts_as_nothing_found():
    found = ranks(np.zeros((1, 3)), np.zeros((1, 3), dtype=bool))
    assert recall_at(3, found) == 0
    assert mean_average_precision(found) == 0
