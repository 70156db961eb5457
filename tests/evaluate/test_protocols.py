"""The protocols, tested with given scores or known pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sorce.evaluate.ground_truth import GroundTruth, LabelledPicture, LabelledQuery
from sorce.evaluate.protocols import ProtocolResult, classes, sorce_1k, sorec
from sorce.evaluate.retrievers import EncodedTexts, ExactRetriever, ScoredPhoto
from sorce.ingest import Source
from sorce.mappings import Box, Match
from tests.kit.fake import FakeModel

GOLDEN = Path(__file__).parents[1] / "golden/metrics"
WIDTH, HEIGHT = 100, 100


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return {**np.load(GOLDEN / "inputs.npz"), **np.load(GOLDEN / "expected.npz")}


def picture(name: str) -> LabelledPicture:
    folder, _, file_name = name.rpartition("/")
    return LabelledPicture(name, Source(f"file:///{name}", f"/{folder}", file_name, f"/{name}", bytes), (WIDTH, HEIGHT))


def asking(pictures: Sequence[LabelledPicture], texts: Sequence[str], scores: np.ndarray, box: Box) -> ExactRetriever:
    """Pictures that get these scores (texts, pictures), and all show the same box."""
    best: list[Callable[[float], Match]] = [partial(Match, 1, box, "tile", 0.1, 1.0)] * len(texts)
    return ExactRetriever(
        EncodedTexts(FakeModel(), texts), [ScoredPhoto(each.source, WIDTH, HEIGHT, best) for each in pictures], scores
    )


def values(outcome: ProtocolResult) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in outcome.metrics}


def sorce(scores: np.ndarray) -> dict[str, float | None]:
    """By the fixture's scores, (pictures easy, medium, hard, texts)."""
    number = scores.shape[1]
    texts = [f"caption {item}" for item in range(number)]
    pictures = [
        picture(f"{form}/sa_{item}.jpg") for form in ("zoom_3x", "zoom_2x", "full_res") for item in range(number)
    ]
    box = Box(10, 10, 20, 20)
    queries = []
    for item, text in enumerate(texts):
        easy, medium, hard = (pictures[item + place * number].photo_id for place in range(3))
        queries.append(LabelledQuery(text, {hard: (box,), medium: (), easy: ()}))
    truth = GroundTruth({each.photo_id: each for each in pictures}, tuple(queries), ())
    return values(sorce_1k(truth, asking(pictures, texts, scores.T, box), lambda queries: queries))


@pytest.mark.parametrize("name", ["sorce", "sorce_negative"])
def test_recall_in_3n_pictures_is_the_published_one_with_the_other_zooms_excluded(
    golden: dict[str, np.ndarray], name: str
) -> None:
    found = sorce(golden[name.replace("sorce", "sorce_scores")])
    for k in (1, 5, 10):
        for level in ("easy", "medium", "hard"):
            assert found[f"SORCE-60 {level} R@{k}"] == pytest.approx(
                float(golden[f"{name}_excluded/{level}_recall@{k}"])
            )
        expected = float(golden[f"{name}/text_recall@{k}"])
        assert found[f"SORCE-60 image to text R@{k}"] == pytest.approx(expected)


def test_recall_in_full_pictures_alone_is_named_apart(golden: dict[str, np.ndarray]) -> None:
    scores = golden["sorce_scores"]
    found, full = sorce(scores), scores[40:].T
    for k in (1, 5, 10):
        better = (full > np.diag(full)[:, None]).sum(axis=1)
        assert found[f"SORCE-20 full-res R@{k}"] == pytest.approx((better < k).mean())
        better = (full > np.diag(full)[None, :]).sum(axis=0)
        assert found[f"SORCE-20 full-res image to text R@{k}"] == pytest.approx((better < k).mean())
    assert found["SORCE-20 full-res box: mean IoU"] == 1
    assert found["SORCE-20 full-res R@10, objects of 1-5 %"] == found["SORCE-20 full-res R@10"]


def labelled(golden: dict[str, np.ndarray], box: Box, shown: Box) -> dict[str, float | None]:
    relevant, scores = golden["map_relevant"], golden["map_similarity"]
    pictures = [picture(f"{number}.jpg") for number in range(relevant.shape[1])]
    texts = [f"class {row}" for row in range(len(relevant)) if relevant[row].any()]
    rows = [row for row in range(len(relevant)) if relevant[row].any()]
    queries = [
        LabelledQuery(text, {pictures[column].photo_id: (box,) for column in relevant[row].nonzero()[0]})
        for text, row in zip(texts, rows, strict=True)
    ]
    truth = GroundTruth({each.photo_id: each for each in pictures}, tuple(queries), ())
    return values(classes(truth, asking(pictures, texts, scores[rows], shown), lambda queries: queries))


def test_both_definitions_of_map_are_the_published_ones(golden: dict[str, np.ndarray]) -> None:
    found = labelled(golden, Box(0, 0, 5, 5), Box(0, 0, 5, 5))
    asked, all_queries = golden["map_relevant"].any(axis=1).sum(), len(golden["map_relevant"])
    # The fixture counts a query without a relevant photo as 0.
    for name, key in (("of all relevant", "map"), ("of min(relevant, 50)", "map_min")):
        expected = float(golden[f"{key}/map@50"]) * all_queries / asked
        assert found[f"retrieval mAP over the first 50 photos, {name}"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("box", "name"),
    [
        (Box(0, 0, 3, 3), "under 0.1 %"),
        (Box(0, 0, 5, 2), "of 0.1-0.3 %"),
        (Box(0, 0, 10, 9), "of 0.3-1 %"),
        (Box(0, 0, 10, 10), "of 1-5 %"),
        (Box(0, 0, 50, 10), "of 5 % or more"),
    ],
)
def test_recall_by_size_judges_each_photo_as_if_no_other_one_were_right(
    golden: dict[str, np.ndarray], box: Box, name: str
) -> None:
    found = labelled(golden, box, box)
    better = [
        (scores[~relevant] > score).sum()
        for scores, relevant in zip(golden["map_similarity"], golden["map_relevant"], strict=True)
        for score in scores[relevant]
    ]
    by_size = {key: value for key, value in found.items() if key.startswith("R@10, ") and value is not None}
    assert by_size == {f"R@10, objects {name}": pytest.approx(float((np.array(better) < 10).mean()))}


def test_a_shown_box_is_judged_by_iou_and_by_centres(golden: dict[str, np.ndarray]) -> None:
    found = labelled(golden, Box(0, 0, 20, 20), Box(0, 0, 40, 20))
    boxes = {name: value for name, value in found.items() if name.startswith("box: ")}
    assert boxes == {
        "box: mean IoU": 0.5,
        "box: IoU 0.5 or more": 1,
        "box: its centre in the object": 0,
        "box: the object's centre in it": 1,
    }


def test_sorec_judges_the_box_of_each_expressions_own_picture() -> None:
    pictures = [picture("a.jpg"), picture("b.jpg"), picture("gone.jpg")]
    texts = ["exact", "half", "gone"]
    truth = GroundTruth(
        {each.photo_id: each for each in pictures},
        (
            LabelledQuery("exact", {pictures[0].photo_id: (Box(0, 0, 10, 10),)}),
            LabelledQuery("half", {pictures[1].photo_id: (Box(0, 0, 10, 5),)}),
            LabelledQuery("gone", {pictures[2].photo_id: (Box(0, 0, 10, 10),)}),
        ),
        (),
    )
    ask = asking(pictures[:2], texts, np.zeros((3, 2)), Box(0, 0, 10, 10))
    found = values(sorec(truth, ask, lambda queries: queries))
    assert (found["Acc50"], found["Acc75"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert found["mAcc"] == pytest.approx((1 + 0.1) / 3)


def test_a_picture_that_is_not_indexed_is_not_found_and_shows_no_box() -> None:
    pictures, box = [picture("a.jpg"), picture("gone.jpg")], Box(0, 0, 10, 10)
    truth = GroundTruth(
        {each.photo_id: each for each in pictures},
        (LabelledQuery("cup", {pictures[0].photo_id: (box,), pictures[1].photo_id: (box,)}),),
        (),
    )
    found = values(classes(truth, asking(pictures[:1], ["cup"], np.zeros((1, 1)), box), lambda queries: queries))
    assert found["retrieval mAP over the first 50 photos, of all relevant"] == 0.5
    assert found["box: mean IoU"] == 0.5
    assert found["R@10, objects of 1-5 %"] == 0.5
